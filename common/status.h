/* What functions answer, and the description of a failure that travels to the user. */
#ifndef COMMON_STATUS_H
#define COMMON_STATUS_H

/* One list makes the statuses, their names and their texts. */
#define STATUS_LIST(X)                                     \
    X(OK, "done")                                          \
    X(MORE, "more input is needed")                        \
    X(INVALID, "the input is malformed")                   \
    X(FULL, "a limit is reached")                          \
    X(USAGE, "an option or setting is wrong")              \
    X(DENIED, "not authorised")                            \
    X(UNAVAILABLE, "the other side cannot be reached now") \
    X(TIMEOUT, "the deadline has passed")                  \
    X(CLOSED, "the connection is closed")                  \
    X(SYSTEM, "the operating system refused")

enum status {
#define STATUS_ENUM(name, text) STATUS_##name,
    STATUS_LIST(STATUS_ENUM)
#undef STATUS_ENUM
};

/* A failure, described once by whoever detects it. Maps onto a Postgres ErrorResponse. */
struct error {
    char sqlstate[6];
    char message[256]; /* lower case, no full stop */
    char hint[256];    /* a sentence saying what to try next, or empty */
    enum status status;
};

/* "OK", "MORE", …; never NULL. */
const char *status_name(enum status status);
/* The text of STATUS_LIST; never NULL. */
const char *status_text(enum status status);

/* Fills `error` (may be NULL), `status` in it too, and returns `status`, so that failing reads
 * `return error_set(…)`. Text that does not fit is cut at a UTF-8 boundary. */
enum status error_set(struct error *error, enum status status, const char *sqlstate,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Sets the hint of an error that is already described. */
void error_hint(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
