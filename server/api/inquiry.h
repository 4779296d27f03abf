/* A request that is answered from one question to Postgres. */
#ifndef SERVER_API_INQUIRY_H
#define SERVER_API_INQUIRY_H

#include "server/api/api_state.h"

struct inquiry {
    struct api *api;
    struct exchange *exchange;
    char *if_none_match; /* the request's, or NULL */
    struct reader_question question;
    void (*answer)(struct inquiry *inquiry, const PGresult *rows, const struct error *error);
};

/* `answer` then replies, from rows or, without them, an error; it is called once, unless the client
 * goes before. */
void inquiry_start(struct api *api, struct lws *wsi, struct exchange *exchange, const char *sql,
                   void (*answer)(struct inquiry *inquiry, const PGresult *rows,
                                  const struct error *error));

#endif
