/* Examination and rewriting of SQL texts. */
#include "server/proxy/statement.h"

#include "common/memory.h"
#include "server/proxy/classify.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The longest piece of a text that is quoted in an error. */
#define QUOTED_MAX 100
/* What a statement of ours adds to a text, at most. */
#define FOLLOW_TEXT_MAX 64
/* What a text may grow by. No script comes near; but one made for it could have the server need as
 * many times its own size as a call is longer than DDLX may be. */
#define GROWTH_MAX ((size_t)64 * 1024 * 1024)
/* How far behind a word the next one is looked for, when it only matters for a hint. */
#define NEXT_WORD_MAX 256
/* How many places in a text are looked at for that. */
#define MENTIONS_MAX 16

/* A rewrite under construction. */
struct writer {
    struct scanner scanner;
    const struct statement_settings *settings;
    enum encoding characters;
    struct rewrite *rewrite;           /* NULL: nothing of interest so far */
    size_t copied;                     /* bytes of the text taken over so far … */
    uint32_t was;                      /* … and the same in characters, … */
    uint32_t now;                      /* … and characters written */
    uint32_t found;                    /* statements in the client's text */
    uint32_t sent;                     /* statements that are sent */
    size_t last_end;                   /* where the last one ends … */
    enum statement_follow last_follow; /* … what it wants behind it … */
    bool last_commits;                 /* … whether it may commit by itself … */
    bool last_broken;                  /* … and whether it has no end */
    bool too_long;                     /* a call did not fit */
};

static size_t capacity_for(struct bytes text)
{
    /* The shortest statement that wants another behind it is `DO''`. */
    size_t growth = text.len * (DDLX_GROWTH - 1) + FOLLOW_TEXT_MAX;

    return text.len + (growth < GROWTH_MAX ? growth : GROWTH_MAX);
}

static struct rewrite *rewrite_of(struct writer *writer)
{
    if (writer->rewrite == NULL)
        writer->rewrite = rewrite_new(capacity_for(writer->scanner.text));
    return writer->rewrite;
}

static uint32_t count_characters(const struct writer *writer, size_t start, size_t end)
{
    struct bytes piece = bytes_of(writer->scanner.text.data + start, end - start);

    return (uint32_t)encoding_count(writer->characters, piece);
}

static void copy_until(struct writer *writer, size_t end)
{
    uint32_t count = count_characters(writer, writer->copied, end);
    struct bytes text = writer->scanner.text;

    buffer_append(&rewrite_of(writer)->text,
                  bytes_of(text.data + writer->copied, end - writer->copied));
    writer->copied = end;
    writer->was += count;
    writer->now += count;
}

/* Puts `text` where the client's text has what lies between `start` and `end`. */
static void replace(struct writer *writer, size_t start, size_t end, enum ddlx_kind kind,
                    struct bytes text)
{
    struct rewrite_edit edit = {.kind = kind, .statement = writer->sent};

    copy_until(writer, start);
    edit.was_start = writer->was;
    edit.now_start = writer->now;
    buffer_append(&writer->rewrite->text, text);
    writer->now += (uint32_t)encoding_count(writer->characters, text);
    writer->was += count_characters(writer, start, end);
    writer->copied = end;
    edit.was_end = writer->was;
    edit.now_end = writer->now;
    rewrite_add_edit(writer->rewrite, edit);
    writer->rewrite->has_text = true;
}

/* Puts a statement of ours behind the last one. What has no end would take it in, and Postgres
 * would show it in its complaint. */
static void insert_follow(struct writer *writer)
{
    size_t end = writer->last_end;

    if (writer->last_follow == FOLLOW_NONE || writer->last_broken)
        return;
    replace(writer, end, end, DDLX_NONE,
            bytes_of_string(writer->last_follow == FOLLOW_NOTE ? ";CALL electric.note_version()"
                                                               : ";CALL electric.capture(false)"));
    writer->sent++;
}

static enum statement_follow follow_of(const struct writer *writer,
                                       const struct classified *classified)
{
    const char *tables = writer->settings->framework_tables;

    switch (classified->class) {
    case CLASS_SCHEMA:
    case CLASS_UNIQUE:
        return writer->settings->fallback ? FOLLOW_CAPTURE : FOLLOW_NONE;
    case CLASS_WRITE:
        if (tables != NULL && classified_is_one_of(classified, writer->scanner.text, tables))
            return FOLLOW_NOTE;
        break;
    case CLASS_OTHER:
        break;
    }
    return FOLLOW_NONE;
}

/* The name as the client wrote it, as a literal that means the same everywhere. */
static void make_check(struct writer *writer, const struct classified *classified)
{
    struct buffer *check = &rewrite_of(writer)->check;

    buffer_append_format(check, "CALL electric.refuse_unique_index(E'");
    classified_write_target(classified, &writer->scanner, check);
    buffer_append_format(check, "')");
    if (buffer_failed(check))
        buffer_clear(check); /* a name too long for Postgres */
}

static void note_mistake(struct writer *writer, const struct scan_statement *statement,
                         const struct ddlx_mistake *found)
{
    struct rewrite_mistake *mistake = &rewrite_of(writer)->mistake;
    struct bytes token =
        bytes_of(writer->scanner.text.data + found->start, found->end - found->start);

    if (mistake->hint != NULL)
        return; /* Postgres reports the first one only */
    mistake->hint = found->hint;
    mistake->start = count_characters(writer, 0, statement->start);
    mistake->end = mistake->start + count_characters(writer, statement->start, statement->end);
    mistake->at = mistake->start + count_characters(writer, statement->start, found->start);
    token =
        bytes_first(token, writer->characters == ENCODING_UTF8 ? bytes_utf8_cut(token, QUOTED_MAX)
                                                               : QUOTED_MAX);
    if (token.len == 0)
        mistake->message = mem_copy_string("syntax error at end of input");
    else
        mistake->message = mem_format("syntax error at or near \"%.*s\"", (int)token.len,
                                      (const char *)token.data);
}

static void take_statement(struct writer *writer, const struct scan_statement *statement,
                           struct buffer *call)
{
    struct ddlx_mistake mistake;
    struct classified classified;
    enum ddlx_kind kind = ddlx_translate(&writer->scanner, statement, call, &mistake);

    writer->last_follow = FOLLOW_NONE;
    writer->last_end = statement->end;
    writer->last_broken = statement->broken;
    if (kind == DDLX_MISTAKE) {
        note_mistake(writer, statement, &mistake);
    } else if (kind != DDLX_NONE) {
        replace(writer, statement->start, statement->end, kind, buffer_peek(call));
        writer->rewrite->changes_schema = true;
        writer->rewrite->has_ddlx = true;
    } else {
        classified = classify(&writer->scanner, statement);
        writer->last_follow = follow_of(writer, &classified);
        writer->last_commits = classified.commits;
        if (classified.class == CLASS_SCHEMA || classified.class == CLASS_UNIQUE)
            rewrite_of(writer)->changes_schema = true;
        if (classified.class == CLASS_UNIQUE && writer->found == 0 &&
            writer->settings->framework_tables != NULL)
            make_check(writer, &classified);
    }
    writer->found++;
    writer->sent++;
}

/* `$1` and the like: prepared, the statement would wait for a value instead of being refused. */
static bool has_parameter(const struct writer *writer)
{
    struct scanner scanner = writer->scanner;
    struct scan_token token;

    if (memchr(scanner.text.data, '$', scanner.text.len) == NULL)
        return false;
    scanner.at = 0;
    do {
        token = scanner_next(&scanner);
        if (scan_is_symbol(scanner.text, token, '$'))
            return true;
    } while (token.type != SCAN_END && token.type != SCAN_BROKEN);
    return false;
}

/* What is told of the text, cut where a character ends. */
static void keep_said(struct writer *writer, struct bytes said)
{
    const struct statement_settings *settings = writer->settings;
    struct rewrite *rewrite = rewrite_of(writer);

    rewrite->said_in = settings->settled ? settings->encoding : ENCODING_AMBIGUOUS;
    /* Where nothing is converted it is the server's encoding that says what a character is. */
    buffer_append(&rewrite->said, bytes_first(said, encoding_cut(settings->characters, said,
                                                                 buffer_room(&rewrite->said))));
}

/* Statements of ours that tell the name of a migration always fit into the text: what they follow
 * may stand in a transaction. */
static bool belongs_inside(const struct writer *writer, enum statement_use use)
{
    return use == STATEMENT_INSIDE ||
           (use == STATEMENT_QUERY &&
            (writer->found > 1 || writer->last_follow == FOLLOW_NOTE || has_parameter(writer)));
}

static void finish_follow(struct writer *writer, enum statement_use use,
                          const struct scan_statement *statement)
{
    if (writer->last_follow == FOLLOW_NONE)
        return;
    if (belongs_inside(writer, use)) {
        insert_follow(writer);
    } else if (writer->found == 1) {
        rewrite_of(writer)->follow = writer->last_follow;
        if (writer->last_follow == FOLLOW_CAPTURE) {
            rewrite_of(writer)->commits = writer->last_commits;
            keep_said(writer, bytes_of(writer->scanner.text.data + statement->start,
                                       statement->end - statement->start));
        }
    }
}

static void take_statements(struct writer *writer, enum statement_use use)
{
    struct scan_statement statement = {0}, next;
    struct buffer call;

    buffer_init(&call, capacity_for(writer->scanner.text));
    while (scanner_next_statement(&writer->scanner, &next)) {
        if (writer->found > 0 && use != STATEMENT_PREPARE)
            insert_follow(writer);
        statement = next;
        take_statement(writer, &statement, &call);
        buffer_truncate(&call, 0);
    }
    writer->too_long = buffer_failed(&call);
    buffer_clear(&call);
    finish_follow(writer, use, &statement);
    /* In a transaction, explicit or not, it is Postgres that refuses CONCURRENTLY. */
    if (writer->rewrite != NULL && (writer->found > 1 || writer->rewrite->has_text))
        buffer_clear(&writer->rewrite->check);
}

/* Whether a character of several bytes could end in a backslash or, in JOHAB, in a semicolon. No
 * other ASCII byte that such a character may end in means anything to the scanner. */
static bool may_hide_ascii(struct bytes text)
{
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.data[i] >= 0x80 && (text.data[i + 1] == '\\' || text.data[i + 1] == ';'))
            return true;
    return false;
}

/* Whether the text might be read otherwise than we did. */
static bool is_ambiguous(const struct writer *writer)
{
    const struct statement_settings *settings = writer->settings;

    if (settings->settled && settings->encoding != ENCODING_AMBIGUOUS)
        return false;
    return (!settings->settled && writer->scanner.saw_backslash) ||
           may_hide_ascii(writer->scanner.text);
}

/* Of a text that might be read otherwise nothing is certain but how its first statement begins. */
static bool is_certain(const struct writer *writer, enum statement_use use)
{
    if (!writer->rewrite->has_text && writer->rewrite->mistake.hint == NULL &&
        use == STATEMENT_PREPARE)
        return true;
    if (writer->scanner.saw_vertical_tab && writer->rewrite->has_text)
        return false;
    return !is_ambiguous(writer) && !writer->too_long && !buffer_failed(&writer->rewrite->text);
}

static bool is_worth_keeping(const struct rewrite *rewrite,
                             const struct statement_settings *settings)
{
    if (settings->framework_tables != NULL &&
        (rewrite->changes_schema || rewrite->follow != FOLLOW_NONE))
        return true;
    return rewrite->has_text || rewrite->mistake.hint != NULL;
}

static bool is_ascii(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] >= 0x80)
            return false;
    return true;
}

/* Whether the text may hold anything at all that matters. */
static bool is_of_interest(struct bytes text, const struct statement_settings *settings)
{
    if (settings->encoding == ENCODING_AMBIGUOUS && !settings->fallback && !is_ascii(text))
        return false;
    return settings->framework_tables != NULL ||
           bytes_find_ignoring_case(text, "electric") < text.len;
}

/* Told from the first words of the text's only statement, so that most texts need not be read. */
static bool is_harmless(struct bytes text, const struct statement_settings *settings)
{
    const struct scan_statement all = {.end = text.len};
    struct classified classified;
    struct scanner scanner;

    if (!classify_is_single(text))
        return false;
    scanner_init(&scanner, text, settings->standard_conforming_strings);
    classified = classify(&scanner, &all);
    if (classified.class == CLASS_WRITE)
        return settings->framework_tables == NULL ||
               !classified_is_one_of(&classified, text, settings->framework_tables);
    return classified.class == CLASS_OTHER;
}

static struct rewrite *examine(struct bytes text, enum statement_use use,
                               const struct statement_settings *settings)
{
    struct writer writer = {.settings = settings, .characters = settings->characters};

    if (!is_of_interest(text, settings) || is_harmless(text, settings))
        return NULL;
    scanner_init(&writer.scanner, text, settings->standard_conforming_strings);
    take_statements(&writer, use);
    if (writer.rewrite == NULL)
        return NULL;
    if (writer.rewrite->has_text) {
        copy_until(&writer, text.len);
        keep_said(&writer, text);
    }
    if (is_worth_keeping(writer.rewrite, settings) && is_certain(&writer, use))
        return writer.rewrite;
    rewrite_release(writer.rewrite);
    return NULL;
}

struct rewrite *statement_examine(struct bytes text, enum statement_use use,
                                  const struct statement_settings *settings)
{
    struct rewrite *rewrite = examine(text, use, settings);
    enum ending ending = settings->endings ? ending_of(text) : ENDING_NONE;

    if (ending == ENDING_NONE)
        return rewrite;
    if (rewrite == NULL)
        rewrite = rewrite_new(0);
    rewrite->ending = ending;
    return rewrite;
}

bool statement_is_unsettled(struct bytes text, enum statement_use use,
                            const struct statement_settings *settings)
{
    return use == STATEMENT_QUERY && settings->fallback && !settings->settled &&
           (memchr(text.data, '\\', text.len) != NULL || may_hide_ascii(text));
}

static bool is_one_of(struct bytes text, struct scan_token token, const char *const *words)
{
    for (; *words != NULL; words++)
        if (scan_is_word(text, token, *words))
            return true;
    return false;
}

static bool mentions_ddlx(struct bytes text)
{
    static const char *const before[] = {"enable", "disable", NULL};
    static const char *const after[] = {"enable", "disable",  "grant",  "revoke",
                                        "assign", "unassign", "sqlite", NULL};

    text = bytes_first(text, STATEMENT_INLINE_MAX);
    for (int looked_at = 0; looked_at < MENTIONS_MAX; looked_at++) {
        size_t at = bytes_find_ignoring_case(text, "electric");
        struct scanner scanner;
        size_t word = at;

        if (at == text.len)
            return false;
        /* The word in front: back over blanks, then over letters. */
        while (word > 0 && strchr(" \t\r\n", text.data[word - 1]) != NULL)
            word--;
        while (word > 0 && isalpha(text.data[word - 1]))
            word--;
        scanner_init(&scanner, bytes_first(bytes_skip(text, word), NEXT_WORD_MAX), true);
        if (is_one_of(scanner.text, scanner_next(&scanner), before))
            return true;
        text = bytes_skip(text, at + strlen("electric"));
        scanner_init(&scanner, bytes_first(text, NEXT_WORD_MAX), true);
        if (is_one_of(scanner.text, scanner_next(&scanner), after))
            return true;
    }
    return false;
}

bool statement_mentions_ddlx(const struct rewrite *rewrite, struct bytes text)
{
    return (rewrite == NULL || !rewrite->has_text) && mentions_ddlx(text);
}

void statement_job_run(struct statement_job *job)
{
    job->rewrite = statement_examine(job->text, job->use, &job->settings);
    job->mentions_ddlx = statement_mentions_ddlx(job->rewrite, job->text);
}

void statement_job_free(struct statement_job *job)
{
    if (job == NULL)
        return;
    rewrite_release(job->rewrite);
    buffer_clear(&job->message);
    free(job);
}
