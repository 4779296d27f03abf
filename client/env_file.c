/* Reading .env files. */
#include "client/env_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/escape.h"
#include "common/memory.h"

#define FILE_MAX ((size_t)1 << 20)
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

struct parser {
    const char *at; /* the text, ending with a NUL */
    unsigned line;
    env_file_variable *on_variable;
    void *owner;
};

static bool is_name_start(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool is_name(char c)
{
    return is_name_start(c) || (c >= '0' && c <= '9');
}

static void skip_blanks(struct parser *parser)
{
    parser->at += strspn(parser->at, " \t");
}

static bool at_end_of_line(const struct parser *parser)
{
    return *parser->at == '\0' || *parser->at == '\n' ||
           (parser->at[0] == '\r' && (parser->at[1] == '\n' || parser->at[1] == '\0'));
}

/* The comment there may be, and the line break. */
static void skip_line(struct parser *parser)
{
    parser->at += strcspn(parser->at, "\n");
    if (*parser->at == '\n') {
        parser->at++;
        parser->line++;
    }
}

static void skip_export(struct parser *parser)
{
    static const char word[] = "export";
    size_t len = sizeof word - 1;

    if (strncmp(parser->at, word, len) != 0 || (parser->at[len] != ' ' && parser->at[len] != '\t'))
        return;
    parser->at += len;
    skip_blanks(parser);
}

/* Up to the closing quote; the caller frees. NULL: there is none. */
static char *take_quoted(struct parser *parser)
{
    char quote = *parser->at++;
    char *value = mem_new(strlen(parser->at) + 1);
    size_t len = 0;

    for (; *parser->at != '\0' && *parser->at != quote; parser->at++) {
        if (quote == '"' && *parser->at == '\\' && parser->at[1] != '\0' &&
            strchr("nrt\"\\$", parser->at[1]) != NULL) {
            value[len++] = escape_meaning(*++parser->at);
            continue;
        }
        parser->line += *parser->at == '\n';
        value[len++] = *parser->at;
    }
    if (*parser->at == quote) {
        parser->at++;
        return value;
    }
    mem_free_secret(value, len);
    return NULL;
}

/* Up to a comment or the end of the line, without the white space in front of those. */
static char *take_plain(struct parser *parser)
{
    const char *begin = parser->at;
    const char *end = begin;

    for (; !at_end_of_line(parser); parser->at++) {
        bool blank = *parser->at == ' ' || *parser->at == '\t';

        if (*parser->at == '#' && (parser->at == begin || parser->at > end))
            break;
        if (!blank)
            end = parser->at + 1;
    }
    return mem_copy_chars(begin, (size_t)(end - begin));
}

static const char *take_variable(struct parser *parser)
{
    const char *begin = parser->at;
    const char *problem = NULL;
    char *name;
    char *value;

    if (!is_name_start(*begin))
        return "a line is NAME=VALUE";
    while (is_name(*parser->at))
        parser->at++;
    name = mem_copy_chars(begin, (size_t)(parser->at - begin));
    skip_blanks(parser);
    if (*parser->at != '=') {
        free(name);
        return "a line is NAME=VALUE";
    }
    parser->at++;
    skip_blanks(parser);
    value = *parser->at == '"' || *parser->at == '\'' ? take_quoted(parser) : take_plain(parser);
    skip_blanks(parser);
    if (value == NULL)
        problem = "the closing quote is missing";
    else if (!at_end_of_line(parser) && *parser->at != '#')
        problem = "there is something behind the closing quote";
    else
        parser->on_variable(parser->owner, name, value);
    free(name);
    mem_free_secret(value, value == NULL ? 0 : strlen(value));
    return problem;
}

static enum status parse(struct parser *parser, struct error *error)
{
    while (*parser->at != '\0') {
        unsigned line = parser->line;
        const char *problem = NULL;

        skip_blanks(parser);
        skip_export(parser);
        if (!at_end_of_line(parser) && *parser->at != '#')
            problem = take_variable(parser);
        if (problem != NULL)
            return error_set(error, STATUS_INVALID, "22023", "line %u: %s", line, problem);
        skip_line(parser);
    }
    return STATUS_OK;
}

enum status env_file_parse(struct bytes text, env_file_variable *on_variable, void *owner,
                           struct error *error)
{
    char *copy;
    enum status status;
    struct parser parser = {.line = 1, .on_variable = on_variable, .owner = owner};

    if (bytes_starts_with(text, BYTE_ORDER_MARK))
        text = bytes_skip(text, strlen(BYTE_ORDER_MARK));
    if (text.len > 0 && memchr(text.data, '\0', text.len) != NULL)
        return error_set(error, STATUS_INVALID, "22023", "it holds a zero byte");
    copy = mem_copy_chars((const char *)text.data, text.len);
    parser.at = copy;
    status = parse(&parser, error);
    mem_free_secret(copy, text.len);
    return status;
}

static void set_unless_set(void *owner, const char *name, const char *value)
{
    (void)owner;
    setenv(name, value, 0);
}

enum status env_file_load(const char *path, struct error *error)
{
    FILE *file = fopen(path, "re");
    char *text;
    size_t len;
    enum status status;

    if (file == NULL)
        return error_set(error, STATUS_SYSTEM, "58030", "could not read \"%s\": %s", path,
                         strerror(errno));
    text = mem_new(FILE_MAX + 1);
    len = fread(text, 1, FILE_MAX + 1, file);
    if (ferror(file) != 0)
        status = error_set(error, STATUS_SYSTEM, "58030", "could not read \"%s\": %s", path,
                           strerror(errno));
    else if (len > FILE_MAX)
        status = error_set(error, STATUS_INVALID, "22023", "\"%s\" is longer than 1 MiB", path);
    else
        status = env_file_parse(bytes_of(text, len), set_unless_set, NULL, error);
    fclose(file);
    mem_free_secret(text, FILE_MAX + 1);
    return status;
}
