/* Log lines on stderr: text for people, JSON for machines; one line an event, one write a line. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

/* Process-wide, set once at start. Colour only when stderr is a terminal and NO_COLOR is not set.
 */
void log_setup(enum log_level level, enum log_format format, bool timestamps);
bool log_enabled(enum log_level level);

/* Who speaks; part of each connection. All pointers borrowed, any may be NULL or zero. */
struct log_context {
    const char *role;      /* "session", "tunnel", "http" … */
    unsigned long long id; /* 0: none */
    const char *peer;      /* "10.0.0.7" */
};

/* `context` may be NULL. Control characters in the text are escaped, so a peer cannot forge lines.
 * Thread-safe. */
void log_error(const struct log_context *context, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void log_warn(const struct log_context *context, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void log_info(const struct log_context *context, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void log_debug(const struct log_context *context, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
