/* Words for outcomes. */
#include "common/tunnel/tunnel_outcome.h"

static const struct words {
    const char *name;
    const char *hint;
    const char *sqlstate;
} words[] = {
    [TUNNEL_OUTCOME_NONE] = {"none", "Nothing was left to be committed; connect again.", "08006"},
    [TUNNEL_OUTCOME_COMMITTED] = {"committed", "The transaction was committed; do not repeat it.",
                                  "08007"},
    [TUNNEL_OUTCOME_ROLLED_BACK] = {"rolled back",
                                    "The transaction was rolled back; connect again and repeat it.",
                                    "08006"},
    [TUNNEL_OUTCOME_IN_PROGRESS] = {"in progress",
                                    "The transaction may yet be committed; ask pg_xact_status() "
                                    "before repeating it.",
                                    "08007"},
    [TUNNEL_OUTCOME_UNKNOWN] = {"unknown",
                                "Whether the transaction was committed is not known; look before "
                                "repeating it.",
                                "08007"},
};
enum { WORDS = sizeof words / sizeof words[0] };

static const struct words *words_of(enum tunnel_outcome outcome)
{
    return &words[(size_t)outcome < WORDS ? (size_t)outcome : TUNNEL_OUTCOME_UNKNOWN];
}

const char *tunnel_outcome_name(enum tunnel_outcome outcome)
{
    return words_of(outcome)->name;
}

enum tunnel_outcome tunnel_outcome_of_name(struct bytes name)
{
    for (size_t i = 0; i < WORDS; i++)
        if (bytes_equal_string(name, words[i].name))
            return (enum tunnel_outcome)i;
    /* As Postgres says it. */
    return bytes_equal_string(name, "aborted") ? TUNNEL_OUTCOME_ROLLED_BACK
                                               : TUNNEL_OUTCOME_UNKNOWN;
}

const char *tunnel_outcome_hint(enum tunnel_outcome outcome)
{
    return words_of(outcome)->hint;
}

const char *tunnel_outcome_sqlstate(enum tunnel_outcome outcome)
{
    return words_of(outcome)->sqlstate;
}
