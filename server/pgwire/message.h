/* Message types of the Postgres frontend/backend protocol 3, by their protocol names
 * (PostgreSQL documentation, chapter "Frontend/Backend Protocol", "Message Formats"). */
#ifndef SERVER_PGWIRE_MESSAGE_H
#define SERVER_PGWIRE_MESSAGE_H

#include "common/bytes.h"

/* Sent by the client. */
enum {
    PGWIRE_BIND = 'B',
    PGWIRE_CLOSE = 'C',
    PGWIRE_COPY_DATA = 'd',
    PGWIRE_COPY_DONE = 'c',
    PGWIRE_COPY_FAIL = 'f',
    PGWIRE_DESCRIBE = 'D',
    PGWIRE_EXECUTE = 'E',
    PGWIRE_FLUSH = 'H',
    PGWIRE_FUNCTION_CALL = 'F',
    PGWIRE_PARSE = 'P',
    PGWIRE_PASSWORD = 'p', /* also SASLInitialResponse, SASLResponse, GSSResponse */
    PGWIRE_QUERY = 'Q',
    PGWIRE_SYNC = 'S',
    PGWIRE_TERMINATE = 'X',
};

/* Sent by the server. COPY_DATA and COPY_DONE are the same letters both ways. */
enum {
    PGWIRE_AUTHENTICATION = 'R',
    PGWIRE_BACKEND_KEY_DATA = 'K',
    PGWIRE_BIND_COMPLETE = '2',
    PGWIRE_CLOSE_COMPLETE = '3',
    PGWIRE_COMMAND_COMPLETE = 'C',
    PGWIRE_COPY_IN_RESPONSE = 'G',
    PGWIRE_COPY_OUT_RESPONSE = 'H',
    PGWIRE_COPY_BOTH_RESPONSE = 'W',
    PGWIRE_DATA_ROW = 'D',
    PGWIRE_EMPTY_QUERY_RESPONSE = 'I',
    PGWIRE_ERROR_RESPONSE = 'E',
    PGWIRE_FUNCTION_CALL_RESPONSE = 'V',
    PGWIRE_NEGOTIATE_PROTOCOL_VERSION = 'v',
    PGWIRE_NO_DATA = 'n',
    PGWIRE_NOTICE_RESPONSE = 'N',
    PGWIRE_NOTIFICATION_RESPONSE = 'A',
    PGWIRE_PARAMETER_DESCRIPTION = 't',
    PGWIRE_PARAMETER_STATUS = 'S',
    PGWIRE_PARSE_COMPLETE = '1',
    PGWIRE_PORTAL_SUSPENDED = 's',
    PGWIRE_READY_FOR_QUERY = 'Z',
    PGWIRE_ROW_DESCRIPTION = 'T',
};

/* Authentication request codes. */
enum {
    PGWIRE_AUTH_OK = 0,
    PGWIRE_AUTH_MD5 = 5,
    PGWIRE_AUTH_SASL = 10,
    PGWIRE_AUTH_SASL_CONTINUE = 11,
    PGWIRE_AUTH_SASL_FINAL = 12,
};

/* The type byte and the length field, which counts itself. */
#define PGWIRE_HEADER_SIZE 5
#define PGWIRE_LENGTH_SIZE 4
/* Postgres refuses larger ones itself (PQ_LARGE_MESSAGE_LIMIT: MaxAllocSize - 1). */
#define PGWIRE_MESSAGE_MAX 0x3ffffffeu

struct pgwire_message {
    uint8_t type;
    struct bytes body;  /* without type and length */
    struct bytes whole; /* with them */
};

#endif
