/* Examination and rewriting of SQL texts. */
#include "server/proxy/statement.h"

#include "common/memory.h"

#include <stdlib.h>

struct rewrite {
    unsigned references;
    struct buffer text;
    struct statement_call *calls;
    size_t call_count;
    struct statement_edit *edits;
    size_t edit_count;
};

/* A rewrite under construction. */
struct writer {
    struct bytes text;
    enum encoding encoding;
    struct rewrite *rewrite;
    size_t copied; /* bytes of `text` taken over so far … */
    uint32_t was;  /* … and the same in characters, … */
    uint32_t now;  /* … and characters written */
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
    free(rewrite->calls);
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

enum ddlx_kind rewrite_call(const struct rewrite *rewrite, size_t index)
{
    return index < rewrite->call_count ? rewrite->calls[index].kind : DDLX_NONE;
}

uint32_t rewrite_position(const void *context, uint32_t position)
{
    const struct rewrite *rewrite = context;
    const struct statement_edit *edit = NULL;
    uint32_t at = position - 1;

    if (position == 0)
        return 0;
    for (size_t i = 0; i < rewrite->edit_count && rewrite->edits[i].now_start <= at; i++)
        edit = &rewrite->edits[i];
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

static void add_call(struct rewrite *rewrite, enum ddlx_kind kind)
{
    if (is_full(rewrite->call_count))
        rewrite->calls =
            mem_resize(rewrite->calls, (rewrite->call_count * 2 + 1) * sizeof rewrite->calls[0]);
    rewrite->calls[rewrite->call_count++].kind = kind;
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
    uint32_t count = (uint32_t)encoding_count(writer->encoding, piece);

    buffer_append(&writer->rewrite->text, piece);
    writer->copied = end;
    writer->was += count;
    writer->now += count;
}

static void replace(struct writer *writer, const struct scan_statement *statement,
                    const struct ddlx_command *command)
{
    struct rewrite *rewrite = writer->rewrite;
    struct statement_edit edit;
    size_t begin;

    copy_until(writer, statement->start);
    edit.was_start = writer->was;
    edit.now_start = writer->now;

    begin = buffer_len(&rewrite->text);
    ddlx_append_call(&rewrite->text, writer->text, command);
    writer->now +=
        (uint32_t)encoding_count(writer->encoding, bytes_skip(buffer_peek(&rewrite->text), begin));
    writer->was +=
        (uint32_t)encoding_count(writer->encoding, bytes_of(writer->text.data + statement->start,
                                                            statement->end - statement->start));
    writer->copied = statement->end;

    edit.was_end = writer->was;
    edit.now_end = writer->now;
    add_edit(rewrite, edit);
    add_call(rewrite, command->kind);
}

/* Whether the text might be read otherwise than we did. */
static bool is_ambiguous(const struct scanner *scanner, const struct statement_settings *settings)
{
    if (settings->settled)
        return false;
    if (scanner->saw_backslash)
        return true;
    for (size_t i = 0; i < scanner->text.len; i++)
        if (scanner->text.data[i] >= 0x80)
            return true;
    return false;
}

static void examine_statements(struct writer *writer, struct scanner *scanner)
{
    struct scan_statement statement;

    while (scanner_next_statement(scanner, &statement)) {
        struct ddlx_command command = ddlx_parse(scanner, &statement);
        if (command.kind != DDLX_NONE)
            replace(writer, &statement, &command);
        else if (scan_is_word(scanner->text, statement.first, "call"))
            add_call(writer->rewrite, DDLX_NONE);
    }
}

struct rewrite *statement_examine(struct bytes text, const struct statement_settings *settings)
{
    struct writer writer = {.text = text, .encoding = settings->encoding};
    struct scanner scanner;

    if (settings->encoding == ENCODING_AMBIGUOUS ||
        bytes_find_ignoring_case(text, "electric") == text.len)
        return NULL;
    writer.rewrite = mem_new(sizeof *writer.rewrite);
    writer.rewrite->references = 1;
    /* The shortest command, `ELECTRIC ENABLE t`, becomes `CALL electric.enable(E't')`, and a name
     * at most doubles: three times the text is always enough. */
    buffer_init(&writer.rewrite->text, text.len * 3 + 1);

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

void statement_job_run(struct statement_job *job)
{
    job->rewrite = statement_examine(job->text, &job->settings);
}

void statement_job_free(struct statement_job *job)
{
    if (job == NULL)
        return;
    rewrite_release(job->rewrite);
    buffer_clear(&job->message);
    free(job);
}
