/* The plan FIFO. */
#include "server/proxy/pipeline.h"

#include "common/memory.h"
#include "server/pgwire/message.h"

#include <stdlib.h>
#include <string.h>

/* CopyDone and CopyFail have no answer, but decide which Syncs the server swallowed. */
#define COPY_END PGWIRE_COPY_DONE

struct plan_entry {
    uint8_t type;
    uint8_t what;
    unsigned marks; /* enum plan_mark */
    bool mentions_ddlx;
    bool answered;      /* Query, FunctionCall: something other than ReadyForQuery has come */
    uint32_t completed; /* Query: statements that are done */
    char *names;        /* statement, NUL, portal, NUL; NULL: not needed */
    struct rewrite *rewrite;
};

void pipeline_init(struct pipeline *pipeline)
{
    memset(pipeline, 0, sizeof *pipeline);
    pipeline->status = 'I';
}

static struct plan_entry *entry_at(const struct pipeline *pipeline, size_t index)
{
    return &pipeline->entries[(pipeline->first + index) % pipeline->allocated];
}

static struct plan_entry *head(const struct pipeline *pipeline)
{
    return pipeline->count > 0 ? entry_at(pipeline, 0) : NULL;
}

/* What these run may change client_encoding or standard_conforming_strings. */
static bool runs_statements(const struct plan_entry *entry)
{
    return entry->type == PGWIRE_QUERY || entry->type == PGWIRE_EXECUTE ||
           entry->type == PGWIRE_FUNCTION_CALL;
}

static void entry_clear(struct pipeline *pipeline, struct plan_entry *entry)
{
    if (runs_statements(entry))
        pipeline->running--;
    if (entry->rewrite != NULL)
        pipeline->rewrites--;
    rewrite_release(entry->rewrite);
    free(entry->names);
}

static void pop(struct pipeline *pipeline)
{
    entry_clear(pipeline, head(pipeline));
    pipeline->first = (pipeline->first + 1) % pipeline->allocated;
    pipeline->count--;
}

static void grow(struct pipeline *pipeline)
{
    size_t allocated = pipeline->allocated > 0 ? pipeline->allocated * 2 : 16;
    struct plan_entry *entries = mem_new_array(allocated, sizeof *entries);

    for (size_t i = 0; i < pipeline->count; i++)
        entries[i] = *entry_at(pipeline, i);
    free(pipeline->entries);
    pipeline->entries = entries;
    pipeline->allocated = allocated;
    pipeline->first = 0;
}

static struct plan_entry *push(struct pipeline *pipeline, uint8_t type)
{
    struct plan_entry *entry;

    if (pipeline->count == pipeline->allocated)
        grow(pipeline);
    entry = entry_at(pipeline, pipeline->count++);
    *entry = (struct plan_entry){.type = type};
    if (runs_statements(entry)) {
        pipeline->running++;
        pipeline->unsettled = true;
    }
    return entry;
}

void pipeline_clear(struct pipeline *pipeline)
{
    while (pipeline->count > 0)
        pop(pipeline);
    free(pipeline->entries);
    names_clear(&pipeline->names);
    names_clear(&pipeline->sent);
    pipeline_init(pipeline);
}

bool pipeline_is_full(const struct pipeline *pipeline)
{
    return pipeline->count >= PIPELINE_MAX;
}

bool pipeline_is_settled(const struct pipeline *pipeline)
{
    return !pipeline->unsettled;
}

/* Names matter only while a rewritten text is under way or known by name. */
static bool names_matter(const struct pipeline *pipeline)
{
    return pipeline->rewrites > 0 || pipeline->names.count > 0 || pipeline->sent.count > 0;
}

/* Postgres compares this much of a name (NAMEDATALEN - 1). */
#define NAME_COMPARED 63

static char *copy_names(const struct plan_message *message)
{
    struct bytes statement = bytes_first(message->statement, NAME_COMPARED);
    struct bytes portal = bytes_first(message->portal, NAME_COMPARED);
    char *names = mem_new(statement.len + portal.len + 2);

    if (statement.len > 0)
        memcpy(names, statement.data, statement.len);
    if (portal.len > 0)
        memcpy(names + statement.len + 1, portal.data, portal.len);
    return names;
}

static struct bytes statement_name(const struct plan_entry *entry)
{
    return bytes_of_string(entry->names);
}

static struct bytes portal_name(const struct plan_entry *entry)
{
    return bytes_of_string(entry->names + strlen(entry->names) + 1);
}

static bool is_answered(uint8_t type)
{
    switch (type) {
    case PGWIRE_QUERY:
    case PGWIRE_PARSE:
    case PGWIRE_BIND:
    case PGWIRE_DESCRIBE:
    case PGWIRE_EXECUTE:
    case PGWIRE_CLOSE:
    case PGWIRE_FUNCTION_CALL:
    case PGWIRE_SYNC:
        return true;
    default:
        return false; /* Flush, CopyData, Terminate, and what the server will refuse */
    }
}

static void copy_ended(struct pipeline *pipeline)
{
    pipeline->copying_in = false;
    if (pipeline->count > 0)
        push(pipeline, COPY_END);
}

/* What the names of `entry` will mean, if all goes well. */
static void foresee(struct pipeline *pipeline, const struct plan_entry *entry)
{
    struct names *sent = &pipeline->sent;
    struct rewrite *rewrite = entry->rewrite;

    if (entry->type == PGWIRE_QUERY && sent->count > 0) {
        names_set(sent, NAME_STATEMENT, bytes_of(NULL, 0), NULL);
        names_set(sent, NAME_PORTAL, bytes_of(NULL, 0), NULL);
    }
    if (entry->names == NULL)
        return;
    if (entry->type == PGWIRE_PARSE)
        names_set(sent, NAME_STATEMENT, statement_name(entry),
                  rewrite != NULL && rewrite->follow != FOLLOW_NONE ? rewrite : NULL);
    else if (entry->type == PGWIRE_BIND)
        names_set(sent, NAME_PORTAL, portal_name(entry),
                  names_get(sent, NAME_STATEMENT, statement_name(entry)));
    else if (entry->type == PGWIRE_CLOSE && entry->what == 'S')
        names_set(sent, NAME_STATEMENT, statement_name(entry), NULL);
    else if (entry->type == PGWIRE_CLOSE)
        names_set(sent, NAME_PORTAL, portal_name(entry), NULL);
}

enum statement_follow pipeline_follow(struct pipeline *pipeline, struct bytes portal)
{
    const struct rewrite *rewrite;

    if (pipeline->skipping)
        return FOLLOW_NONE;
    if (pipeline->sent_wrong) {
        names_clear(&pipeline->sent);
        names_copy(&pipeline->sent, &pipeline->names);
        for (size_t i = 0; i < pipeline->count; i++)
            foresee(pipeline, entry_at(pipeline, i));
        pipeline->sent_wrong = false;
    }
    rewrite = names_get(&pipeline->sent, NAME_PORTAL, bytes_first(portal, NAME_COMPARED));
    return rewrite != NULL ? rewrite->follow : FOLLOW_NONE;
}

void pipeline_sent(struct pipeline *pipeline, const struct plan_message *message)
{
    struct plan_entry *entry;

    if (message->type == PGWIRE_COPY_DONE || message->type == PGWIRE_COPY_FAIL) {
        copy_ended(pipeline);
        return;
    }
    if (!is_answered(message->type) && !message->malformed)
        return;
    if (message->type == PGWIRE_SYNC) {
        if (pipeline->copying_in)
            return;
        pipeline->skipping = false;
    } else if (pipeline->skipping) {
        return;
    }
    pipeline->open = message->type != PGWIRE_SYNC && message->type != PGWIRE_QUERY;
    entry = push(pipeline, message->type);
    entry->what = message->what;
    entry->marks = message->marks;
    entry->mentions_ddlx = message->mentions_ddlx;
    entry->rewrite = rewrite_share(message->rewrite);
    if (message->rewrite != NULL)
        pipeline->rewrites++;
    if (names_matter(pipeline) && message->type != PGWIRE_QUERY && message->type != PGWIRE_SYNC)
        entry->names = copy_names(message);
    foresee(pipeline, entry);
}

/* Out of turn at any time. */
static bool is_asynchronous(uint8_t type)
{
    return type == PGWIRE_NOTICE_RESPONSE || type == PGWIRE_PARAMETER_STATUS ||
           type == PGWIRE_NOTIFICATION_RESPONSE;
}

static bool is_extended(const struct plan_entry *entry)
{
    switch (entry->type) {
    case PGWIRE_PARSE:
    case PGWIRE_BIND:
    case PGWIRE_DESCRIBE:
    case PGWIRE_EXECUTE:
    case PGWIRE_CLOSE:
    case PGWIRE_FLUSH: /* a malformed one: its error is its only answer */
        return true;
    default:
        return false;
    }
}

/* Markers leave the FIFO by themselves once they are at its head. */
static void pop_markers(struct pipeline *pipeline)
{
    while (pipeline->count > 0 && head(pipeline)->type == COPY_END)
        pop(pipeline);
}

/* The server reads nothing but COPY messages until the copy ends: Syncs sent before that end get no
 * answer. */
static void copy_in_began(struct pipeline *pipeline)
{
    size_t kept = 1;
    bool ended = false;

    for (size_t i = 1; i < pipeline->count; i++) {
        struct plan_entry *entry = entry_at(pipeline, i);
        if (!ended && (entry->type == PGWIRE_SYNC || entry->type == COPY_END)) {
            ended = entry->type == COPY_END;
            entry_clear(pipeline, entry);
            continue;
        }
        if (kept != i)
            *entry_at(pipeline, kept) = *entry;
        kept++;
    }
    if (pipeline->count > 0)
        pipeline->count = kept;
    pipeline->copying_in = !ended;
}

/* An extended message failed: the server skips what follows, up to a Sync. */
static void drop_until_sync(struct pipeline *pipeline)
{
    while (pipeline->count > 0 && head(pipeline)->type != PGWIRE_SYNC)
        pop(pipeline);
    pipeline->sent_wrong = true;
    pipeline->skipping = pipeline->count == 0;
}

static void learn_names(struct pipeline *pipeline, const struct plan_entry *entry)
{
    struct names *names = &pipeline->names;

    if (entry->names == NULL)
        return;
    if (entry->type == PGWIRE_PARSE)
        names_set(names, NAME_STATEMENT, statement_name(entry), entry->rewrite);
    else if (entry->type == PGWIRE_BIND)
        names_set(names, NAME_PORTAL, portal_name(entry),
                  names_get(names, NAME_STATEMENT, statement_name(entry)));
    else if (entry->type == PGWIRE_CLOSE && entry->what == 'S')
        names_set(names, NAME_STATEMENT, statement_name(entry), NULL);
    else if (entry->type == PGWIRE_CLOSE)
        names_set(names, NAME_PORTAL, portal_name(entry), NULL);
}

/* The text that the entry at the head runs. */
static const struct rewrite *subject_of(const struct pipeline *pipeline,
                                        const struct plan_entry *entry)
{
    if (entry == NULL)
        return NULL;
    if (entry->rewrite != NULL)
        return entry->rewrite;
    if (entry->names == NULL)
        return NULL;
    if (entry->type == PGWIRE_EXECUTE || (entry->type == PGWIRE_DESCRIBE && entry->what == 'P'))
        return names_get(&pipeline->names, NAME_PORTAL, portal_name(entry));
    return names_get(&pipeline->names, NAME_STATEMENT, statement_name(entry));
}

const struct rewrite *pipeline_subject(const struct pipeline *pipeline)
{
    return subject_of(pipeline, head(pipeline));
}

bool pipeline_mentions_ddlx(const struct pipeline *pipeline)
{
    return pipeline->count > 0 && head(pipeline)->mentions_ddlx;
}

bool pipeline_wants_end(const struct pipeline *pipeline)
{
    return pipeline_subject(pipeline) != NULL ||
           (pipeline->count > 0 && head(pipeline)->marks != 0);
}

/* About a CommandComplete of the client's own statements. */
static struct plan_answer judge_tag(struct pipeline *pipeline, struct bytes body)
{
    struct plan_answer answer = {.verdict = PLAN_PASS};
    struct plan_entry *entry = head(pipeline);
    const struct rewrite *rewrite = pipeline_subject(pipeline);
    bool is_query = entry->type == PGWIRE_QUERY;
    uint32_t statement = is_query ? entry->completed++ : 0;

    if (rewrite == NULL)
        return answer;
    if (rewrite->changes_schema)
        pipeline->changed_schema = true;
    switch (rewrite_role(rewrite, statement)) {
    case ROLE_CLIENT:
        break;
    case ROLE_WATCHED:
        answer.verdict = is_query ? PLAN_HOLD : PLAN_PASS;
        break;
    case ROLE_HIDDEN:
        answer.verdict = is_query ? PLAN_RELEASE : PLAN_PASS;
        break;
    case ROLE_DDLX:
        if (!bytes_equal(body, bytes_of("CALL", sizeof "CALL")))
            break;
        answer.verdict = PLAN_RETAG;
        answer.tag = ddlx_tag(rewrite_kind(rewrite, statement));
        break;
    }
    return answer;
}

/* Whether a message of `type` is the last answer to `entry`. */
static bool completes(const struct plan_entry *entry, uint8_t type)
{
    switch (entry->type) {
    case PGWIRE_PARSE:
        return type == PGWIRE_PARSE_COMPLETE;
    case PGWIRE_BIND:
        return type == PGWIRE_BIND_COMPLETE;
    case PGWIRE_CLOSE:
        return type == PGWIRE_CLOSE_COMPLETE;
    case PGWIRE_DESCRIBE:
        return type == PGWIRE_ROW_DESCRIPTION || type == PGWIRE_NO_DATA;
    case PGWIRE_EXECUTE:
        return type == PGWIRE_COMMAND_COMPLETE || type == PGWIRE_EMPTY_QUERY_RESPONSE ||
               type == PGWIRE_PORTAL_SUSPENDED;
    case PGWIRE_SYNC:
        return type == PGWIRE_READY_FOR_QUERY;
    case PGWIRE_QUERY:
    case PGWIRE_FUNCTION_CALL:
        /* One that comes before any other answer belongs to a Sync that the plan took for
         * swallowed. */
        return type == PGWIRE_READY_FOR_QUERY && entry->answered;
    default:
        return false;
    }
}

static void note_ready(struct pipeline *pipeline, struct bytes body)
{
    if (body.len == 1) {
        pipeline->status = (char)body.data[0];
        if (pipeline->status == 'I')
            names_forget_portals(&pipeline->names);
        if (pipeline->status == 'I' && pipeline->count == 0)
            names_forget_portals(&pipeline->sent);
    }
    if (pipeline->running == 0)
        pipeline->unsettled = false;
}

/* What becomes of an answer to an entry with marks; `last`: nothing more will answer it. */
static enum plan_verdict judge_marked(struct pipeline *pipeline, const struct plan_entry *entry,
                                      uint8_t type, bool last)
{
    bool refused = pipeline->gate == GATE_REFUSED;

    if (type == PGWIRE_ERROR_RESPONSE) {
        if ((entry->marks & MARK_GATE) != 0)
            pipeline->gate = GATE_REFUSED;
        return PLAN_PASS;
    }
    if ((entry->marks & MARK_GATE) != 0 && entry->type == PGWIRE_SYNC && last) {
        if (refused && (entry->marks & MARK_GATE_QUERY) != 0)
            return PLAN_PASS;
        if (!refused)
            pipeline->gate = GATE_PASSED;
    }
    if ((entry->marks & MARK_RELEASES) != 0 &&
        (type == PGWIRE_COMMAND_COMPLETE || type == PGWIRE_READY_FOR_QUERY))
        return PLAN_RELEASE;
    if ((entry->marks & MARK_HIDDEN) != 0)
        return PLAN_HIDE;
    if ((entry->marks & MARK_HIDE_NO_DATA) != 0 && type == PGWIRE_NO_DATA)
        return PLAN_HIDE;
    return (entry->marks & MARK_WATCHED) != 0 && last ? PLAN_HOLD : PLAN_PASS;
}

struct plan_answer pipeline_answer(struct pipeline *pipeline, uint8_t type, struct bytes body)
{
    struct plan_answer answer = {.verdict = PLAN_PASS};
    struct plan_entry *entry = head(pipeline);
    bool last;

    if (is_asynchronous(type))
        return answer;
    if (entry == NULL) {
        if (type == PGWIRE_READY_FOR_QUERY)
            note_ready(pipeline, body);
        return answer;
    }
    last = completes(entry, type);
    if (type == PGWIRE_COMMAND_COMPLETE)
        answer = judge_tag(pipeline, body);
    if (entry->marks != 0)
        answer.verdict = judge_marked(pipeline, entry, type, last);
    if (type == PGWIRE_ERROR_RESPONSE)
        pipeline->copying_in = false;
    if (type == PGWIRE_ERROR_RESPONSE && is_extended(entry)) {
        drop_until_sync(pipeline);
    } else if (last) {
        learn_names(pipeline, entry);
        pop(pipeline);
    } else if (type != PGWIRE_READY_FOR_QUERY) {
        entry->answered = true;
        if (type == PGWIRE_COPY_IN_RESPONSE)
            copy_in_began(pipeline);
    }
    pop_markers(pipeline);
    if (type == PGWIRE_READY_FOR_QUERY)
        note_ready(pipeline, body);
    return answer;
}

bool pipeline_is_idle(const struct pipeline *pipeline)
{
    return pipeline->count == 0 && !pipeline->open && pipeline->status == 'I';
}
