/* pg_xact_status() from outside. */
#include "server/outcome.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/tunnel/tunnel_outcome.h"

enum { RETRY_MS = 500 };

/* After a crash, what Postgres says of the number is said of whoever has it now. A number that is
 * in progress now is not the one that ended with its session, which therefore left no trace; the
 * same goes for one that is yet to be given out, which is refused as 22023. Otherwise the
 * checkpoint at the end of recovery tells as long as it is the latest (nothing else is written
 * while it is made, and the statistics were reset just before): numbers from its next one on were
 * in no WAL. One whose status is forgotten gives NULL. */
#define STATUS_SQL                                                                   \
    "SELECT CASE"                                                                    \
    " WHEN $2 OPERATOR(pg_catalog.=) '' THEN "                                       \
    "pg_catalog.pg_xact_status($1::pg_catalog.text::pg_catalog.xid8)"                \
    " WHEN (place.system::pg_catalog.text OPERATOR(pg_catalog.=) $2"                 \
    " AND place.timeline OPERATOR(pg_catalog.=) $3) IS NOT TRUE THEN 'unknown'"      \
    " WHEN place.generation::pg_catalog.text OPERATOR(pg_catalog.=) $4"              \
    " THEN pg_catalog.pg_xact_status($1::pg_catalog.text::pg_catalog.xid8)"          \
    " WHEN pg_catalog.pg_xact_status($1::pg_catalog.text::pg_catalog.xid8)"          \
    " OPERATOR(pg_catalog.=) ANY ('{aborted,in progress}') THEN 'aborted'"           \
    " WHEN $5 OPERATOR(pg_catalog.=) 'yes' THEN (SELECT CASE"                        \
    " WHEN c.redo_lsn OPERATOR(pg_catalog.<>) c.checkpoint_lsn OR place.generation"  \
    " OPERATOR(pg_catalog.>) ((EXTRACT(epoch FROM c.checkpoint_time)"                \
    " OPERATOR(pg_catalog.+) 1) OPERATOR(pg_catalog.*) 1000000) THEN 'unknown'"      \
    " WHEN $1::pg_catalog.text::pg_catalog.numeric OPERATOR(pg_catalog.>=)"          \
    " ((pg_catalog.split_part(c.next_xid, ':', 1)::pg_catalog.numeric"               \
    " OPERATOR(pg_catalog.*) 4294967296) OPERATOR(pg_catalog.+)"                     \
    " pg_catalog.split_part(c.next_xid, ':', 2)::pg_catalog.numeric) THEN 'aborted'" \
    " ELSE pg_catalog.pg_xact_status($1::pg_catalog.text::pg_catalog.xid8) END"      \
    " FROM pg_catalog.pg_control_checkpoint() AS c)"                                 \
    " END FROM (SELECT " OUTCOME_PLACE_SQL ") AS place (system, timeline, generation)"

static void put(uint8_t *out, size_t size, uint64_t value)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
}

void outcome_prove(const uint8_t key[OUTCOME_KEY_SIZE], const struct outcome_subject *subject,
                   uint8_t proof[TUNNEL_PROOF_SIZE])
{
    static const char purpose[] = "electric-tunnel.v1 outcome";
    uint8_t input[sizeof(purpose) + 28], digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    memcpy(input, purpose, sizeof(purpose));
    put(input + sizeof(purpose), 8, subject->system);
    put(input + sizeof(purpose) + 8, 4, subject->timeline);
    put(input + sizeof(purpose) + 12, 8, subject->generation);
    put(input + sizeof(purpose) + 20, 8, subject->xid);
    if (HMAC(EVP_sha256(), key, OUTCOME_KEY_SIZE, input, sizeof(input), digest, &len) == NULL)
        abort(); /* no memory: as everywhere */
    memcpy(proof, digest, TUNNEL_PROOF_SIZE);
}

/* One question */

static void on_rows(struct reader_question *reader, PGresult *rows)
{
    struct outcome_question *question = lws_container_of(reader, struct outcome_question, reader);
    enum tunnel_outcome outcome = tunnel_outcome_of_name(bytes_of_string(PQgetvalue(rows, 0, 0)));

    PQclear(rows);
    question->on_answer(question, outcome, NULL);
}

static void on_failed(struct reader_question *reader, const struct error *error)
{
    struct outcome_question *question = lws_container_of(reader, struct outcome_question, reader);
    bool unheard_of = strcmp(error->sqlstate, "22023") == 0;
    bool undone = unheard_of && question->placed;

    question->on_answer(question, undone ? TUNNEL_OUTCOME_ROLLED_BACK : TUNNEL_OUTCOME_UNKNOWN,
                        unheard_of ? NULL : error);
}

static void write_number(char *out, size_t size, uint64_t number)
{
    (void)snprintf(out, size, "%" PRIu64, number);
}

void outcome_ask(struct reader *reader, struct outcome_question *question,
                 const struct outcome_subject *subject, bool latest_crash)
{
    question->placed = subject->system != 0;
    question->system[0] = '\0';
    if (question->placed)
        write_number(question->system, sizeof(question->system), subject->system);
    write_number(question->xid, sizeof(question->xid), subject->xid);
    write_number(question->generation, sizeof(question->generation), subject->generation);
    (void)snprintf(question->timeline, sizeof(question->timeline), "%08" PRIX32, subject->timeline);
    question->reader = (struct reader_question){
        .sql = STATUS_SQL,
        .count = 5,
        .values = {question->xid, question->system, question->timeline, question->generation,
                   latest_crash ? "yes" : "no"},
        .on_rows = on_rows,
        .on_failed = on_failed,
    };
    reader_ask(reader, &question->reader);
}

/* Until there is an answer */

static void on_retry(struct loop_timer *timer)
{
    struct outcome_search *search = lws_container_of(timer, struct outcome_search, retry);

    outcome_ask(search->reader, &search->question, &search->subject, true);
}

static void on_answer(struct outcome_question *question, enum tunnel_outcome outcome,
                      const struct error *error)
{
    struct outcome_search *search = lws_container_of(question, struct outcome_search, question);
    bool again = error != NULL || outcome == TUNNEL_OUTCOME_IN_PROGRESS;

    if (again && loop_now_ms() < search->until_ms)
        loop_timer_set(search->loop, &search->retry, RETRY_MS);
    else
        search->on_found(search, outcome);
}

void outcome_search(struct outcome_search *search, struct reader *reader, struct loop *loop,
                    const struct outcome_subject *subject)
{
    search->reader = reader;
    search->loop = loop;
    search->subject = *subject;
    search->until_ms = loop_now_ms() + OUTCOME_PATIENCE_MS;
    search->retry.on_expired = on_retry;
    search->question.on_answer = on_answer;
    loop_timer_set(loop, &search->retry, 0); /* not within the call */
}

void outcome_search_stop(struct outcome_search *search)
{
    if (search->reader == NULL)
        return;
    loop_timer_stop(&search->retry);
    reader_forget(search->reader, &search->question.reader);
}
