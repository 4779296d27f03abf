/* The plan FIFO. */
#include "server/proxy/pipeline.h"

#include "common/memory.h"
#include "server/pgwire/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CopyDone and CopyFail have no answer, but decide which Syncs the server swallowed. */
#define COPY_END PGWIRE_COPY_DONE

struct plan_entry {
    uint8_t type;
    uint8_t what;
    unsigned marks; /* enum plan_mark */
    bool mentions_ddlx;
    bool ends;          /* the transaction, or may */
    bool answered;      /* Query, FunctionCall: something other than ReadyForQuery has come */
    bool copying;       /* rows are being read for it */
    bool doubtful;      /* Sync: the server may have swallowed it */
    uint32_t completed; /* Query: statements that are done */
    char *names;        /* statement, NUL, portal, NUL; NULL: not needed */
    struct rewrite *rewrite;
};

void pipeline_init(struct pipeline *pipeline)
{
    memset(pipeline, 0, sizeof *pipeline);
    pipeline->status = 'I';
    pipeline_reserve(pipeline, 0);
}

void pipeline_reserve(struct pipeline *pipeline, uint32_t salt)
{
    (void)snprintf(pipeline->reserved, sizeof pipeline->reserved, "_electric_%08x", salt);
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

/* Whatever it does, the server is ready for more after it. */
static bool ends_in_ready(const struct plan_entry *entry)
{
    return entry->type == PGWIRE_QUERY || entry->type == PGWIRE_FUNCTION_CALL ||
           entry->type == PGWIRE_SYNC;
}

static void entry_clear(struct pipeline *pipeline, struct plan_entry *entry)
{
    if (runs_statements(entry))
        pipeline->running--;
    if (ends_in_ready(entry))
        pipeline->readies--;
    if (entry->ends) {
        outcome_over(&pipeline->outcome);
        pipeline->ended = true;
    }
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
        pipeline->outcome.is_latest = false;
    }
    if (ends_in_ready(entry))
        pipeline->readies++;
    return entry;
}

void pipeline_clear(struct pipeline *pipeline)
{
    while (pipeline->count > 0)
        pop(pipeline);
    free(pipeline->entries);
    names_clear(&pipeline->names);
    foresight_clear(&pipeline->foresight);
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
    return pipeline->rewrites > 0 || pipeline->names.count > 0 ||
           foresight_matters(&pipeline->foresight);
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

static void copy_ended(struct pipeline *pipeline)
{
    pipeline->copying_in = false;
    if (pipeline->count > 0)
        push(pipeline, COPY_END);
}

/* Nothing is due: what the names mean is known. */
static void forget_foreseen(struct pipeline *pipeline)
{
    if (pipeline->count == 0)
        foresight_begin(&pipeline->foresight, &pipeline->names);
}

static void foresee(struct pipeline *pipeline, const struct plan_entry *entry)
{
    struct foresight *foresight = &pipeline->foresight;

    if (entry->type == PGWIRE_SYNC)
        foresight_sync(foresight);
    if (entry->names == NULL)
        return;
    if (entry->type == PGWIRE_PARSE)
        foresight_note(foresight, NAME_STATEMENT, statement_name(entry), entry->rewrite);
    else if (entry->type == PGWIRE_BIND &&
             foresight_is_lost(foresight, NAME_STATEMENT, statement_name(entry)))
        foresight_lose(foresight, NAME_PORTAL, portal_name(entry));
    else if (entry->type == PGWIRE_BIND)
        foresight_note(foresight, NAME_PORTAL, portal_name(entry),
                       foresight_get(foresight, NAME_STATEMENT, statement_name(entry)));
    else if (entry->type == PGWIRE_CLOSE && entry->what == 'S')
        foresight_note(foresight, NAME_STATEMENT, statement_name(entry), NULL);
    else if (entry->type == PGWIRE_CLOSE)
        foresight_note(foresight, NAME_PORTAL, portal_name(entry), NULL);
}

const struct rewrite *pipeline_follow(struct pipeline *pipeline, struct bytes portal)
{
    static const struct rewrite anything = {.follow = FOLLOW_CAPTURE};
    const struct rewrite *rewrite;

    if (pipeline->skipping)
        return NULL;
    forget_foreseen(pipeline);
    portal = bytes_first(portal, NAME_COMPARED);
    if (foresight_is_lost(&pipeline->foresight, NAME_PORTAL, portal))
        return &anything;
    rewrite = foresight_get(&pipeline->foresight, NAME_PORTAL, portal);
    return rewrite != NULL && rewrite->follow != FOLLOW_NONE ? rewrite : NULL;
}

struct rewrite *pipeline_check(struct pipeline *pipeline, struct bytes statement)
{
    struct rewrite *rewrite;

    if (pipeline->skipping)
        return NULL;
    forget_foreseen(pipeline);
    rewrite =
        foresight_get(&pipeline->foresight, NAME_STATEMENT, bytes_first(statement, NAME_COMPARED));
    return rewrite != NULL && buffer_len(&rewrite->check) > 0 ? rewrite : NULL;
}

enum ending pipeline_ending(struct pipeline *pipeline, struct bytes portal)
{
    const struct rewrite *rewrite;

    if (pipeline->skipping || !pipeline->outcome.watched)
        return ENDING_NONE;
    forget_foreseen(pipeline);
    portal = bytes_first(portal, NAME_COMPARED);
    if (foresight_is_lost(&pipeline->foresight, NAME_PORTAL, portal))
        return ENDING_PERHAPS;
    rewrite = foresight_get(&pipeline->foresight, NAME_PORTAL, portal);
    return rewrite != NULL ? rewrite->ending : ENDING_NONE;
}

/* Of what is under way since the server was ready last, each is skipped if one before it fails. */
bool pipeline_may_ask(const struct pipeline *pipeline, enum ending ending)
{
    const struct outcome *outcome = &pipeline->outcome;

    if (!outcome->asks || ending != ENDING_COMMIT || outcome->under_way > 0 || pipeline->skipping ||
        pipeline->copying_in || pipeline->readies > 0)
        return false;
    if (pipeline->count == 0 && !pipeline->open)
        return pipeline->status == 'T' && outcome->acted;
    return pipeline->status != 'E' && (outcome->acted || pipeline->running > 0);
}

bool pipeline_has_reached_ending(const struct pipeline *pipeline)
{
    return pipeline->count > 0 && head(pipeline)->ends;
}

enum tunnel_outcome pipeline_outcome(const struct pipeline *pipeline)
{
    if (pipeline->outcome.under_way > 0)
        return outcome_unanswered(&pipeline->outcome);
    if (pipeline->status != 'I' && !pipeline->ended)
        return TUNNEL_OUTCOME_ROLLED_BACK;
    /* It is ReadyForQuery that says a statement without a transaction of its own is committed. */
    return pipeline->unsettled ? TUNNEL_OUTCOME_UNKNOWN : TUNNEL_OUTCOME_NONE;
}

static enum outcome_scene scene_of(const struct pipeline *pipeline)
{
    if (pipeline->count > 0 || pipeline->copying_in || pipeline->open)
        return OUTCOME_BUSY;
    if (pipeline->status == 'I')
        return OUTCOME_IDLE;
    return pipeline->status == 'T' ? OUTCOME_OPEN : OUTCOME_FAILED;
}

/* The question, if there is one, stands right in front of it. */
static void note_ending(struct pipeline *pipeline, struct plan_entry *entry, enum ending ending,
                        enum outcome_scene scene)
{
    bool asked =
        pipeline->count > 1 && (entry_at(pipeline, pipeline->count - 2)->marks & MARK_ASKS) != 0;

    if (ending == ENDING_NONE || !pipeline->outcome.watched)
        return;
    entry->ends = true;
    outcome_sent(&pipeline->outcome, ending, asked ? OUTCOME_OPEN : scene, asked);
}

static void note_sync(struct pipeline *pipeline, struct plan_entry *entry)
{
    size_t at = pipeline->count - 1;

    pipeline->skipping = false;
    pipeline->open = false;
    pipeline->has_run = false;
    while (at > 0 && entry_at(pipeline, at - 1)->type == COPY_END)
        at--;
    entry->doubtful = pipeline->copying_in || (at > 0 && entry_at(pipeline, at - 1)->doubtful);
}

/* Messages up to the next Sync are skipped if one of them fails. */
static void note_extended(struct pipeline *pipeline, const struct plan_entry *entry)
{
    pipeline->open = true;
    if (entry->type == PGWIRE_BIND || entry->type == PGWIRE_EXECUTE)
        pipeline->has_run = true;
}

void pipeline_sent(struct pipeline *pipeline, const struct plan_message *message)
{
    enum outcome_scene scene = scene_of(pipeline);
    struct plan_entry *entry;

    if (message->type == PGWIRE_COPY_DONE || message->type == PGWIRE_COPY_FAIL) {
        copy_ended(pipeline);
        return;
    }
    if (!is_answered(message->type) && !message->malformed)
        return;
    if (pipeline->skipping && message->type != PGWIRE_SYNC)
        return;
    forget_foreseen(pipeline);
    entry = push(pipeline, message->type);
    entry->what = message->what;
    entry->marks = message->marks;
    entry->mentions_ddlx = message->mentions_ddlx;
    entry->rewrite = rewrite_share(message->rewrite);
    if (message->rewrite != NULL)
        pipeline->rewrites++;
    if (message->type == PGWIRE_SYNC)
        note_sync(pipeline, entry);
    else if (is_extended(entry))
        note_extended(pipeline, entry);
    if (message->names_unknown)
        pipeline->names.overflowed = pipeline->foresight.since.overflowed = true;
    /* Names of ours are none of the client's. */
    if (names_matter(pipeline) && is_extended(entry) && !message->malformed &&
        !message->names_unknown && (message->marks | MARK_WATCHED) == MARK_WATCHED)
        entry->names = copy_names(message);
    foresee(pipeline, entry);
    note_ending(pipeline, entry, message->ending, scene);
}

/* Out of turn at any time. */
static bool is_asynchronous(uint8_t type)
{
    return type == PGWIRE_NOTICE_RESPONSE || type == PGWIRE_PARAMETER_STATUS ||
           type == PGWIRE_NOTIFICATION_RESPONSE;
}

/* Markers leave the FIFO by themselves once they are at its head. */
static void pop_markers(struct pipeline *pipeline)
{
    while (pipeline->count > 0 && head(pipeline)->type == COPY_END)
        pop(pipeline);
}

static void pop_behind_head(struct pipeline *pipeline)
{
    struct plan_entry copying = *head(pipeline);

    *head(pipeline) = *entry_at(pipeline, 1);
    *entry_at(pipeline, 1) = copying;
    pop(pipeline);
}

/* The server reads nothing but COPY messages until the copy ends. It swallows Syncs; whatever else
 * comes first ends the session. */
static void copy_in_began(struct pipeline *pipeline)
{
    while (pipeline->count > 1 && entry_at(pipeline, 1)->type == PGWIRE_SYNC)
        pop_behind_head(pipeline);
    pipeline->copying_in = pipeline->count == 1;
    head(pipeline)->copying = pipeline->copying_in;
    if (!pipeline->copying_in && entry_at(pipeline, 1)->type == COPY_END)
        pop_behind_head(pipeline);
}

static bool has_copy_end(const struct pipeline *pipeline)
{
    for (size_t i = 1; i < pipeline->count; i++) {
        if (entry_at(pipeline, i)->type == COPY_END)
            return true;
        if (entry_at(pipeline, i)->type != PGWIRE_SYNC)
            break;
    }
    return false;
}

/* All rows were read, so that Syncs among them were, too. */
static void copy_in_done(struct pipeline *pipeline)
{
    struct plan_entry *copying = head(pipeline);

    if (!copying->copying)
        return;
    copying->copying = false;
    if (has_copy_end(pipeline))
        while (entry_at(pipeline, 1)->type == PGWIRE_SYNC && entry_at(pipeline, 1)->doubtful)
            pop_behind_head(pipeline);
    if (pipeline->count > 1 && entry_at(pipeline, 1)->type == COPY_END)
        pop_behind_head(pipeline);
}

/* An extended message failed: the server skips what follows, up to a Sync. */
static void drop_until_sync(struct pipeline *pipeline)
{
    while (pipeline->count > 0 && head(pipeline)->type != PGWIRE_SYNC) {
        if (head(pipeline)->ends)
            outcome_failed(&pipeline->outcome);
        pop(pipeline);
    }
    pipeline->skipping = pipeline->count == 0;
    if (pipeline->count > 0 && (head(pipeline)->marks & MARK_INTRUDES) != 0)
        pipeline->gate = GATE_REFUSED;
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

bool pipeline_wants(const struct pipeline *pipeline, uint8_t type)
{
    const struct outcome *outcome = &pipeline->outcome;
    unsigned marks = pipeline->count > 0 ? head(pipeline)->marks : 0;

    switch (type) {
    case PGWIRE_COMMAND_COMPLETE:
    case PGWIRE_EMPTY_QUERY_RESPONSE:
    case PGWIRE_PORTAL_SUSPENDED:
        return marks != 0 || pipeline_subject(pipeline) != NULL ||
               (outcome->watched &&
                (!outcome->acted || !outcome->acts_late || outcome->under_way > 0));
    case PGWIRE_ROW_DESCRIPTION:
        return (marks & MARK_DESCRIBES) != 0;
    case PGWIRE_DATA_ROW:
    case PGWIRE_FUNCTION_CALL_RESPONSE:
        return (marks & MARK_ASKS) != 0;
    default:
        return false;
    }
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
        pipeline->ended = false;
        if (pipeline->status == 'I') {
            names_forget_portals(&pipeline->names);
            outcome_idle(&pipeline->outcome);
        }
    }
    if (pipeline->running == 0)
        pipeline->unsettled = false;
    if (pipeline->count == 0) {
        pipeline->skipping = false;
        pipeline->open = false;
        pipeline->has_run = false;
    }
}

/* The end of messages of ours, or of a Query in their shape. */
static enum plan_verdict judge_ready(struct pipeline *pipeline, const struct plan_entry *entry)
{
    if ((entry->marks & MARK_GATE) != 0 && pipeline->gate != GATE_REFUSED)
        pipeline->gate = GATE_PASSED;
    else if ((entry->marks & MARK_GATE_QUERY) != 0)
        return PLAN_PASS;
    return (entry->marks & MARK_HIDDEN) != 0 ? PLAN_HIDE : PLAN_RESUME;
}

/* What becomes of an answer to an entry with marks; `last`: nothing more will answer it. */
static enum plan_verdict judge_marked(struct pipeline *pipeline, const struct plan_entry *entry,
                                      uint8_t type, bool last)
{
    if (type == PGWIRE_ERROR_RESPONSE) {
        if ((entry->marks & MARK_GATE) != 0)
            pipeline->gate = GATE_REFUSED;
        return PLAN_PASS;
    }
    if (entry->type == PGWIRE_SYNC)
        return last ? judge_ready(pipeline, entry) : PLAN_PASS;
    if ((entry->marks & MARK_RELEASES) != 0 && last)
        return PLAN_RELEASE;
    if ((entry->marks & MARK_HIDDEN) != 0)
        return PLAN_HIDE;
    if ((entry->marks & MARK_DESCRIBES) != 0)
        return type == PGWIRE_NO_DATA ? PLAN_HIDE : PLAN_HOLD;
    if ((entry->marks & MARK_WATCHED) != 0)
        return last ? PLAN_HOLD : PLAN_RESUME;
    return PLAN_PASS;
}

/* Reports of settings and notifications come when the transaction is over, in front of
 * ReadyForQuery: behind the answer that waits for it, as they do on a Query. */
static enum plan_verdict judge_asynchronous(const struct pipeline *pipeline, uint8_t type)
{
    const struct plan_entry *entry = head(pipeline);

    return type != PGWIRE_NOTICE_RESPONSE && entry != NULL && entry->type == PGWIRE_SYNC &&
                   (entry->marks & MARK_RELEASES) != 0
               ? PLAN_RESUME
               : PLAN_PASS;
}

/* What an answer says of the transaction's end. */
static enum plan_verdict judge_outcome(struct pipeline *pipeline, const struct plan_entry *entry,
                                       uint8_t type, struct bytes body, enum plan_verdict verdict)
{
    struct outcome *outcome = &pipeline->outcome;

    if ((entry->marks & MARK_ASKS) != 0) {
        if (type == PGWIRE_DATA_ROW || type == PGWIRE_FUNCTION_CALL_RESPONSE)
            outcome_told(outcome, type == PGWIRE_DATA_ROW, body);
        else if (type == PGWIRE_ERROR_RESPONSE)
            outcome_refused(outcome);
    } else if (type == PGWIRE_ERROR_RESPONSE && entry->ends) {
        outcome_failed(outcome);
    } else if (type == PGWIRE_PORTAL_SUSPENDED || type == PGWIRE_FUNCTION_CALL_RESPONSE) {
        outcome_acted(outcome);
    } else if (type == PGWIRE_COMMAND_COMPLETE && (entry->marks | MARK_WATCHED) == MARK_WATCHED) {
        outcome_tag(outcome, entry->ends, body);
        /* The client has its answer: the question's error. */
        if (entry->ends && outcome->refused)
            return PLAN_HIDE;
    }
    return verdict;
}

/* A Sync that was swallowed after all is followed by the answer to what was sent behind it. */
static void pop_swallowed(struct pipeline *pipeline, uint8_t type)
{
    while (type != PGWIRE_READY_FOR_QUERY && pipeline->count > 0 && head(pipeline)->doubtful) {
        pop(pipeline);
        pop_markers(pipeline);
    }
}

struct plan_answer pipeline_answer(struct pipeline *pipeline, uint8_t type, struct bytes body)
{
    struct plan_answer answer = {.verdict = PLAN_PASS};
    struct plan_entry *entry;
    bool last;

    if (is_asynchronous(type)) {
        answer.verdict = judge_asynchronous(pipeline, type);
        return answer;
    }
    pop_swallowed(pipeline, type);
    entry = head(pipeline);
    if (entry == NULL) {
        if (type == PGWIRE_READY_FOR_QUERY)
            note_ready(pipeline, body);
        return answer;
    }
    last = completes(entry, type);
    if (type == PGWIRE_COMMAND_COMPLETE) {
        answer = judge_tag(pipeline, body);
        copy_in_done(pipeline);
        entry = head(pipeline);
    }
    if (entry->marks != 0)
        answer.verdict = judge_marked(pipeline, entry, type, last);
    if (pipeline->outcome.watched)
        answer.verdict = judge_outcome(pipeline, entry, type, body, answer.verdict);
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

bool pipeline_is_draining(const struct pipeline *pipeline)
{
    return pipeline->count > 0 && !pipeline->copying_in;
}
