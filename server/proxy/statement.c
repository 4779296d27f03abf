/* Examination and rewriting of SQL texts. */
#include "server/proxy/statement.h"

#include "common/memory.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct rewrite {
    unsigned references;
    struct buffer text;
    struct statement_edit *edits;
    size_t edit_count;
};

/* A rewrite under construction. */
struct writer {
    struct bytes text;
    enum encoding characters;
    struct rewrite *rewrite;
    size_t copied;      /* bytes of `text` taken over so far … */
    uint32_t was;       /* … and the same in characters, … */
    uint32_t now;       /* … and characters written */
    uint32_t statement; /* statements seen */
};

struct rewrite *rewrite_share(struct rewrite *rewrite)
{
    if (rewrite != NULL)
        rewrite->references++;
    return rewrite;
}

void rewrite_release(struct rewrite *rewrite)
{
    if (rewrite == NULL || --rewrite->references > 0)
        return;
    buffer_clear(&rewrite->text);
    free(rewrite->edits);
    free(rewrite);
}

struct bytes rewrite_text(const struct rewrite *rewrite)
{
    return buffer_peek(&rewrite->text);
}

void rewrite_forget_text(struct rewrite *rewrite)
{
    buffer_clear(&rewrite->text);
}

enum ddlx_kind rewrite_kind(const struct rewrite *rewrite, uint32_t index)
{
    size_t low = 0, high = rewrite->edit_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rewrite->edits[middle].statement < index)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < rewrite->edit_count && rewrite->edits[low].statement == index)
        return rewrite->edits[low].kind;
    return DDLX_NONE;
}

/* The last edit that begins at or before `at`; NULL: none does. */
static const struct statement_edit *edit_before(const struct rewrite *rewrite, uint32_t at)
{
    size_t low = 0, high = rewrite->edit_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rewrite->edits[middle].now_start <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? &rewrite->edits[low - 1] : NULL;
}

uint32_t rewrite_position(const void *context, uint32_t position)
{
    const struct statement_edit *edit;
    uint32_t at = position - 1;

    if (position == 0)
        return 0;
    edit = edit_before(context, at);
    if (edit == NULL)
        return position;
    /* Inside a call of ours there is nothing the client wrote: its statement's beginning. */
    if (at < edit->now_end)
        return edit->was_start + 1;
    return at - edit->now_end + edit->was_end + 1;
}

/* Room for one more in a table that doubles: true when `count` is a power of two, or 0. */
static bool is_full(size_t count)
{
    return (count & (count - 1)) == 0;
}

static void add_edit(struct rewrite *rewrite, struct statement_edit edit)
{
    if (is_full(rewrite->edit_count))
        rewrite->edits =
            mem_resize(rewrite->edits, (rewrite->edit_count * 2 + 1) * sizeof rewrite->edits[0]);
    rewrite->edits[rewrite->edit_count++] = edit;
}

static void copy_until(struct writer *writer, size_t end)
{
    struct bytes piece = bytes_of(writer->text.data + writer->copied, end - writer->copied);
    uint32_t count = (uint32_t)encoding_count(writer->characters, piece);

    buffer_append(&writer->rewrite->text, piece);
    writer->copied = end;
    writer->was += count;
    writer->now += count;
}

/* Puts `call` in the place of `statement`. */
static void replace(struct writer *writer, const struct scan_statement *statement,
                    enum ddlx_kind kind, struct bytes call)
{
    struct rewrite *rewrite = writer->rewrite;
    struct statement_edit edit = {.kind = kind, .statement = writer->statement};

    copy_until(writer, statement->start);
    edit.was_start = writer->was;
    edit.now_start = writer->now;

    buffer_append(&rewrite->text, call);
    writer->now += (uint32_t)encoding_count(writer->characters, call);
    writer->was +=
        (uint32_t)encoding_count(writer->characters, bytes_of(writer->text.data + statement->start,
                                                              statement->end - statement->start));
    writer->copied = statement->end;

    edit.was_end = writer->was;
    edit.now_end = writer->now;
    add_edit(rewrite, edit);
}

/* Whether a character of several bytes could end in a backslash, if client_encoding were another
 * one by the time the server reads the text. No other ASCII byte that such a character may end in
 * means anything to the scanner. */
static bool may_hide_backslash(struct bytes text)
{
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.data[i] >= 0x80 && text.data[i + 1] == '\\')
            return true;
    return false;
}

/* Whether the text might be read otherwise than we did. */
static bool is_ambiguous(const struct scanner *scanner, const struct statement_settings *settings)
{
    if (scanner->saw_vertical_tab)
        return true;
    if (settings->settled)
        return false;
    return scanner->saw_backslash || may_hide_backslash(scanner->text);
}

static void examine_statements(struct writer *writer, struct scanner *scanner)
{
    struct scan_statement statement;
    struct ddlx_mistake mistake;
    struct buffer call;

    buffer_init(&call, writer->text.len * DDLX_GROWTH + 1);
    while (scanner_next_statement(scanner, &statement)) {
        enum ddlx_kind kind = ddlx_translate(scanner, &statement, &call, &mistake);
        if (kind != DDLX_NONE && kind != DDLX_MISTAKE)
            replace(writer, &statement, kind, buffer_peek(&call));
        buffer_clear(&call);
        buffer_init(&call, writer->text.len * DDLX_GROWTH + 1);
        writer->statement++;
    }
    buffer_clear(&call);
}

struct rewrite *statement_examine(struct bytes text, const struct statement_settings *settings)
{
    struct writer writer = {.text = text, .characters = settings->characters};
    struct scanner scanner;

    if (settings->encoding == ENCODING_AMBIGUOUS ||
        bytes_find_ignoring_case(text, "electric") == text.len)
        return NULL;
    writer.rewrite = mem_new(sizeof *writer.rewrite);
    writer.rewrite->references = 1;
    buffer_init(&writer.rewrite->text, text.len * DDLX_GROWTH + 1);

    scanner_init(&scanner, text, settings->standard_conforming_strings);
    examine_statements(&writer, &scanner);
    if (writer.rewrite->edit_count > 0 && !is_ambiguous(&scanner, settings)) {
        copy_until(&writer, text.len);
        if (!buffer_failed(&writer.rewrite->text))
            return writer.rewrite;
    }
    rewrite_release(writer.rewrite);
    return NULL;
}

static bool is_one_of(struct bytes text, struct scan_token token, const char *const *words)
{
    for (; *words != NULL; words++)
        if (scan_is_word(text, token, *words))
            return true;
    return false;
}

bool statement_mentions_ddlx(struct bytes text)
{
    static const char *const before[] = {"enable", "disable", NULL};
    static const char *const after[] = {"enable", "disable",  "grant",  "revoke",
                                        "assign", "unassign", "sqlite", NULL};

    text = bytes_first(text, STATEMENT_INLINE_MAX);
    for (;;) {
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
        scanner_init(&scanner, bytes_skip(text, word), true);
        if (is_one_of(scanner.text, scanner_next(&scanner), before))
            return true;
        scanner_init(&scanner, bytes_skip(text, at + strlen("electric")), true);
        if (is_one_of(scanner.text, scanner_next(&scanner), after))
            return true;
        text = bytes_skip(text, at + strlen("electric"));
    }
}

void statement_job_run(struct statement_job *job)
{
    job->rewrite = statement_examine(job->text, &job->settings);
    job->mentions_ddlx = job->rewrite == NULL && statement_mentions_ddlx(job->text);
}

void statement_job_free(struct statement_job *job)
{
    if (job == NULL)
        return;
    rewrite_release(job->rewrite);
    buffer_clear(&job->message);
    free(job);
}
