/* Asks Postgres what became of a transaction, and decides who else may ask.
 *
 * Transactions are numbered per Postgres, and anew from where a standby has taken over. After a
 * crash a number whose transaction left no trace in the WAL is given out once more. So it means
 * something only together with the system identifier, the timeline, and the time of the last crash,
 * which is when the statistics were reset. */
#ifndef SERVER_OUTCOME_H
#define SERVER_OUTCOME_H

#include "common/tunnel/tunnel_frame.h"
#include "server/api/reader.h"
#include "server/loop.h"

#define OUTCOME_KEY_SIZE 32

/* Three columns: the system identifier, the timeline in hex as in the names of WAL files (NULL on a
 * standby), and the generation. */
#define OUTCOME_PLACE_SQL                                                                          \
    "(SELECT system_identifier FROM pg_catalog.pg_control_system()),"                              \
    " CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN"                                           \
    " pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 1, 8)" \
    " END,"                                                                                        \
    " coalesce((EXTRACT(epoch FROM pg_catalog.pg_stat_get_bgwriter_stat_reset_time())"             \
    " OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8, 0)"

struct outcome_subject {
    uint64_t xid;
    uint64_t system; /* 0: whatever Postgres it is, for who knows better */
    uint32_t timeline;
    uint64_t generation;
};

/* What entitles to ask for this one only: the beginning of an HMAC with a key that all servers of a
 * database know. */
void outcome_prove(const uint8_t key[OUTCOME_KEY_SIZE], const struct outcome_subject *subject,
                   uint8_t proof[TUNNEL_PROOF_SIZE]);

/* One question. Embed it, zeroed. */
struct outcome_question {
    struct reader_question reader; /* the reader's */
    char xid[24], system[24], timeline[16], generation[24];
    bool placed; /* a system is named */
    /* Called once; an error means that Postgres could not be asked, and may be later. */
    void (*on_answer)(struct outcome_question *question, enum tunnel_outcome outcome,
                      const struct error *error);
};

/* What is said holds for this very transaction, unless no system is named. `latest_crash`: if
 * Postgres has crashed since, then only once: that may leave less unknown. */
void outcome_ask(struct reader *reader, struct outcome_question *question,
                 const struct outcome_subject *subject, bool latest_crash);

/* The same, right after the connection to Postgres was lost, until there is an answer, or for so
 * long: then IN_PROGRESS or UNKNOWN is the answer. */
struct outcome_search {
    struct outcome_question question;
    struct outcome_subject subject;
    struct reader *reader;
    struct loop *loop;
    struct loop_timer retry;
    uint64_t until_ms;
    void (*on_found)(struct outcome_search *search, enum tunnel_outcome outcome);
};

enum { OUTCOME_PATIENCE_MS = 30000 };

void outcome_search(struct outcome_search *search, struct reader *reader, struct loop *loop,
                    const struct outcome_subject *subject);
/* No answer is wanted any more; harmless when none is due. */
void outcome_search_stop(struct outcome_search *search);

#endif
