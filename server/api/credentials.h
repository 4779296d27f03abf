/* Who may use the API: the proxy's password, a token, or everybody. No I/O, a clock handed in. */
#ifndef SERVER_API_CREDENTIALS_H
#define SERVER_API_CREDENTIALS_H

#include "common/bytes.h"

#include <stdbool.h>
#include <stdint.h>

struct credentials_policy {
    bool open;            /* everybody may */
    const char *password; /* of Basic, whatever the user's name; NULL: none is right */
    const char *token;    /* of Bearer; NULL or empty: none is right */
};

/* Whether the value of an Authorization header (RFC 7617, RFC 6750) is right. */
bool credentials_are_right(const struct credentials_policy *policy, const char *authorization);

enum { CREDENTIALS_PEERS = 256, CREDENTIALS_WRONG_MAX = 10 };

/* Guesses: from one address only so many may be wrong in a second, then none is looked at any more.
 * Addresses share the slots of a small table; two that meet in one share its limit. So do all
 * clients behind one proxy, and one of them could keep the others out. */
struct credentials_guard {
    struct {
        uint64_t second;
        unsigned wrong;
    } peers[CREDENTIALS_PEERS];
};

bool credentials_may_try(const struct credentials_guard *guard, const char *peer, uint64_t now_ms);
void credentials_note_wrong(struct credentials_guard *guard, const char *peer, uint64_t now_ms);

/* A token so long that nobody finds it by trying: those who send it need not share the limit. */
enum { CREDENTIALS_LONG_TOKEN = 16 };
bool credentials_are_beyond_guessing(const struct credentials_policy *policy,
                                     const char *authorization);

/* Short-lived tokens for those that cannot send a header, as browsers' EventSource: when it
 * expires, and an HMAC with a key that all replicas know. */
#define CREDENTIALS_KEY_SIZE 32
#define CREDENTIALS_TICKET_MAX 96
void credentials_ticket_make(const uint8_t key[CREDENTIALS_KEY_SIZE],
                             const struct credentials_policy *policy, uint64_t expires_s,
                             char out[CREDENTIALS_TICKET_MAX]);
bool credentials_ticket_is_valid(const uint8_t key[CREDENTIALS_KEY_SIZE],
                                 const struct credentials_policy *policy, const char *ticket,
                                 uint64_t now_s);

#endif
