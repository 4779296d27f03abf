/* The option engine: walks the arguments and the environment by a table of rows. */
#include "common/options.h"

#include "common/bytes.h"
#include "common/memory.h"
#include "common/option_rows.h"
#include "common/options_value.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS_MAX 128
#define SECRET_FILE_MAX 65536

enum source { FROM_DEFAULT, FROM_ENVIRONMENT, FROM_FLAG };

/* Options are read once, at start; asking where a value came from needs no object of its own. */
static struct {
    const struct option_table *table;
    enum source sources[ROWS_MAX];
} last_read;

struct reader {
    const struct option_table *table;
    char *settings;
    FILE *problems;
};

static void *field(const struct reader *reader, const struct option_spec *row)
{
    return reader->settings + row->offset;
}

static enum source *source_of(const struct option_table *table, const struct option_spec *row)
{
    return &last_read.sources[row - table->rows];
}

/* The problems */

__attribute__((format(printf, 2, 3))) static void problem(const struct reader *reader,
                                                          const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(reader->problems, format, arguments);
    va_end(arguments);
    fputc('\n', reader->problems);
}

/* A value, and the name under which its giver knows it: "--http-port", "HTTP_PORT". */
static void take_value(struct reader *reader, const struct option_spec *row, const char *name,
                       const char *text, enum source source)
{
    struct error error = {0};

    *source_of(reader->table, row) = source;
    if (!option_store(row, text, field(reader, row))) {
        fprintf(reader->problems, "%s: \"%s\" is not ", name, text);
        option_put_expected(row, reader->problems);
        fputc('\n', reader->problems);
    } else if (row->check != NULL && (row->type == OPTION_STRING || row->type == OPTION_SECRET) &&
               !row->check(text, &error)) {
        problem(reader, "%s: %s", name, error.message);
    }
}

/* Secrets in files */

/* Reads at most `size` bytes, whose number it returns, or -1 with errno. */
static ssize_t read_file(const char *path, char *out, size_t size)
{
    size_t len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -1;
    while (len < size) {
        ssize_t count = read(fd, out + len, size - len);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0) {
            int saved = errno;
            close(fd);
            errno = saved;
            return -1;
        }
        if (count == 0)
            break;
        len += (size_t)count;
    }
    close(fd);
    return (ssize_t)len;
}

static size_t without_newline(const char *text, size_t len)
{
    if (len == 0 || text[len - 1] != '\n')
        return len;
    len--;
    return len > 0 && text[len - 1] == '\r' ? len - 1 : len;
}

static void take_file(struct reader *reader, const struct option_spec *row, const char *name,
                      const char *path, enum source source)
{
    char *text = mem_new(SECRET_FILE_MAX + 1);
    ssize_t count = read_file(path, text, SECRET_FILE_MAX + 1);
    size_t len = count < 0 ? 0 : without_newline(text, (size_t)count);

    *source_of(reader->table, row) = source;
    if (count < 0)
        problem(reader, "%s: could not read \"%s\": %s", name, path, strerror(errno));
    else if (count > SECRET_FILE_MAX)
        problem(reader, "%s: \"%s\" is longer than %d bytes", name, path, SECRET_FILE_MAX);
    else if (len == 0)
        problem(reader, "%s: \"%s\" is empty", name, path);
    else if (memchr(text, '\0', len) != NULL)
        problem(reader, "%s: \"%s\" holds a zero byte", name, path);
    else {
        text[len] = '\0';
        take_value(reader, row, name, text, source);
    }
    mem_free_secret(text, SECRET_FILE_MAX + 1);
}

/* The arguments */

struct argument {
    const struct option_spec *row; /* NULL: unknown, or help or version */
    char name[64];                 /* as given: "--http-port", "-s" */
    const char *value;             /* NULL: none */
};

static bool takes_value(const struct option_spec *row)
{
    return row != NULL && row->type != OPTION_BOOL;
}

static const struct option_spec *find_flag(const struct option_table *table, struct bytes flag)
{
    for (const struct option_spec *row = option_first(table); row != NULL;
         row = option_next(table, row))
        if (row->flag != NULL && bytes_equal_string(flag, row->flag))
            return row;
    return NULL;
}

static const struct option_spec *find_letter(const struct option_table *table, char letter)
{
    for (const struct option_spec *row = option_first(table); row != NULL;
         row = option_next(table, row))
        if (row->letter == letter)
            return row;
    return NULL;
}

/* `text` is "--flag", "--flag=value", "-s" or "-svalue". */
static void read_argument(const struct option_table *table, const char *text, struct argument *out)
{
    bool is_long = text[1] == '-';
    size_t len = is_long ? strcspn(text, "=") : 2;

    *out = (struct argument){0};
    snprintf(out->name, sizeof out->name, "%.*s", (int)(len < 60 ? len : 60), text);
    if (is_long) {
        out->row = find_flag(table, bytes_of(text + 2, len - 2));
        out->value = text[len] == '=' ? text + len + 1 : NULL;
    } else {
        out->row = find_letter(table, text[1]);
        out->value = text[2] != '\0' ? text + 2 : NULL;
    }
}

/* Takes the next option with its value; false at the first argument that is none. */
static bool next_argument(const struct option_table *table, int argc, char **argv, int *index,
                          struct argument *out)
{
    const char *text = *index < argc ? argv[*index] : NULL;

    if (text == NULL || text[0] != '-' || text[1] == '\0')
        return false;
    (*index)++;
    if (strcmp(text, "--") == 0)
        return false;
    read_argument(table, text, out);
    if (takes_value(out->row) && out->value == NULL && *index < argc)
        out->value = argv[(*index)++];
    return true;
}

static bool is_named(const struct argument *argument, const char *flag)
{
    return argument->row == NULL && argument->value == NULL &&
           ((strncmp(argument->name, "--", 2) == 0 && strcmp(argument->name + 2, flag) == 0) ||
            (strcmp(argument->name, "-h") == 0 && strcmp(flag, "help") == 0) ||
            (strcmp(argument->name, "-V") == 0 && strcmp(flag, "version") == 0));
}

bool options_wants(const struct option_table *table, int argc, char **argv, const char *flag)
{
    struct argument argument;

    for (int index = 1; next_argument(table, argc, argv, &index, &argument);)
        if (is_named(&argument, flag))
            return true;
    return false;
}

const char *options_given(const struct option_table *table, int argc, char **argv, const char *flag)
{
    const struct option_spec *row = find_flag(table, bytes_of_string(flag));
    const char *value = NULL;
    struct argument argument;

    for (int index = 1; next_argument(table, argc, argv, &index, &argument);)
        if (row != NULL && argument.row == row)
            value = argument.value;
    return value;
}

/* Edits that make `a` into `b` (Levenshtein); both are short. */
static size_t distance(const char *a, const char *b)
{
    size_t row[64];
    size_t len = strlen(b);

    if (len >= sizeof row / sizeof row[0])
        return SIZE_MAX;
    for (size_t j = 0; j <= len; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            size_t best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            diagonal = row[j];
            row[j] = change < best ? change : best;
        }
    }
    return row[len];
}

static const char *nearest_flag(const struct option_table *table, const char *name)
{
    /* More edits than this would no longer be a slip. */
    size_t limit = strlen(name) < 8 ? 2 : 3;
    size_t best = SIZE_MAX;
    const char *nearest = NULL;

    for (const struct option_spec *row = option_first(table); row != NULL;
         row = option_next(table, row)) {
        size_t edits = row->flag == NULL ? SIZE_MAX : distance(name, row->flag);
        if (edits <= limit && edits < best) {
            best = edits;
            nearest = row->flag;
        }
    }
    return nearest;
}

/* The name of a command that has this flag; NULL: none has. */
static const char *other_command(const struct option_table *table, const char *flag)
{
    struct option_table all = *table;
    const struct option_spec *row;

    all.command = 0;
    row = find_flag(&all, bytes_of_string(flag));
    if (row == NULL || table->commands == NULL)
        return NULL;
    for (size_t i = 0; table->commands[i].name != NULL; i++)
        if ((row->commands & (1u << i)) != 0)
            return table->commands[i].name;
    return NULL;
}

static void refuse_unknown(const struct reader *reader, const struct argument *argument)
{
    bool is_long = argument->name[1] == '-';
    const char *nearest = is_long ? nearest_flag(reader->table, argument->name + 2) : NULL;
    const char *other = is_long ? other_command(reader->table, argument->name + 2) : NULL;

    if (other != NULL)
        problem(reader, "%s is an option of the command %s", argument->name, other);
    else if (nearest != NULL)
        problem(reader, "unknown option %s (did you mean --%s?)", argument->name, nearest);
    else
        problem(reader, "unknown option %s", argument->name);
}

static void take_argument(struct reader *reader, const struct argument *argument)
{
    const struct option_spec *row = argument->row;
    const char *value = argument->value;

    if (is_named(argument, "help") || is_named(argument, "version"))
        return;
    if (row == NULL) {
        refuse_unknown(reader, argument);
        return;
    }
    if (value == NULL && row->type == OPTION_BOOL)
        value = "true";
    if (value == NULL || *value == '\0') {
        *source_of(reader->table, row) = FROM_FLAG;
        problem(reader, "%s needs a value", argument->name);
    } else if (row->type == OPTION_SECRET) {
        take_file(reader, row, argument->name, value, FROM_FLAG);
    } else {
        take_value(reader, row, argument->name, value, FROM_FLAG);
    }
}

/* The environment */

static const char *get_variable(const char *name)
{
    const char *value = getenv(name);

    return value == NULL || *value == '\0' ? NULL : value;
}

static bool take_variable(struct reader *reader, const struct option_spec *row, const char *name)
{
    const char *value = get_variable(name);
    char *file_name = mem_format("%s_FILE", name);
    const char *path = row->type == OPTION_SECRET ? get_variable(file_name) : NULL;

    if (value != NULL && path != NULL) {
        *source_of(reader->table, row) = FROM_ENVIRONMENT;
        problem(reader, "%s and %s are both set; keep one", name, file_name);
    } else if (value != NULL) {
        take_value(reader, row, name, value, FROM_ENVIRONMENT);
    } else if (path != NULL) {
        take_file(reader, row, file_name, path, FROM_ENVIRONMENT);
    }
    free(file_name);
    return value != NULL || path != NULL;
}

static void take_default(struct reader *reader, const struct option_spec *row)
{
    if (row->preset != NULL) {
        const char *name = row->variable != NULL ? row->variable : row->flag;
        take_value(reader, row, name, row->preset, FROM_DEFAULT);
    } else if (row->required && row->variable != NULL) {
        problem(reader, "%s is required", row->variable);
    } else if (row->required) {
        problem(reader, "--%s is required", row->flag);
    }
}

static void complete(struct reader *reader, const struct option_spec *row)
{
    if (*source_of(reader->table, row) == FROM_FLAG)
        return;
    if (row->variable != NULL && take_variable(reader, row, row->variable))
        return;
    if (row->fallback != NULL && take_variable(reader, row, row->fallback))
        return;
    take_default(reader, row);
}

enum status options_read(const struct option_table *table, int argc, char **argv, void *settings,
                         int *positional, char **problems)
{
    struct reader reader = {.table = table, .settings = settings};
    struct argument argument;
    size_t size;

    memset(&last_read, 0, sizeof last_read);
    last_read.table = table;
    *problems = NULL;
    reader.problems = open_memstream(problems, &size);
    if (reader.problems == NULL)
        abort(); /* out of memory at start, as in common/memory.h */

    *positional = 1;
    while (next_argument(table, argc, argv, positional, &argument))
        take_argument(&reader, &argument);
    for (const struct option_spec *row = option_first(table); row != NULL;
         row = option_next(table, row)) {
        assert(row - table->rows < ROWS_MAX);
        complete(&reader, row);
    }

    if (fclose(reader.problems) != 0)
        abort();
    if (size > 0)
        return STATUS_USAGE;
    free(*problems);
    *problems = NULL;
    return STATUS_OK;
}

void options_clear(const struct option_table *table, void *settings)
{
    for (const struct option_spec *row = table->rows; !option_is_end(row); row++) {
        if (row->type != OPTION_STRING && row->type != OPTION_SECRET)
            continue;
        char **string = (char **)(void *)((char *)settings + row->offset);
        mem_free_secret(*string, *string == NULL ? 0 : strlen(*string));
        *string = NULL;
    }
}

static bool same_name(const char *a, const char *b)
{
    return a != NULL && strcmp(a, b) == 0;
}

const char *options_source(const struct option_table *table, const char *flag_or_variable)
{
    static const char *const names[] = {
        [FROM_DEFAULT] = "default", [FROM_ENVIRONMENT] = "environment", [FROM_FLAG] = "flag"};

    if (last_read.table != table)
        return names[FROM_DEFAULT];
    for (const struct option_spec *row = option_first(table); row != NULL;
         row = option_next(table, row))
        if (same_name(row->flag, flag_or_variable) || same_name(row->variable, flag_or_variable))
            return names[*source_of(table, row)];
    return names[FROM_DEFAULT];
}
