/* One question, one answer. */
#include "server/api/inquiry.h"

#include <stdlib.h>

#include "common/memory.h"
#include "server/request.h"

static void free_inquiry(struct inquiry *inquiry)
{
    reader_forget(inquiry->api->reader, &inquiry->question);
    free(inquiry->if_none_match);
    free(inquiry);
}

static void on_rows(struct reader_question *question, PGresult *rows)
{
    struct inquiry *inquiry = lws_container_of(question, struct inquiry, question);

    inquiry->answer(inquiry, rows, NULL);
    PQclear(rows);
    free_inquiry(inquiry);
}

static void on_failed(struct reader_question *question, const struct error *error)
{
    struct inquiry *inquiry = lws_container_of(question, struct inquiry, question);

    inquiry->answer(inquiry, NULL, error);
    free_inquiry(inquiry);
}

static void on_gone(void *owner)
{
    free_inquiry(owner);
}

static const struct exchange_events events = {.on_gone = on_gone};

void inquiry_start(struct api *api, struct lws *wsi, struct exchange *exchange, const char *sql,
                   void (*answer)(struct inquiry *inquiry, const PGresult *rows,
                                  const struct error *error))
{
    struct inquiry *inquiry = mem_new(sizeof(*inquiry));

    inquiry->api = api;
    inquiry->exchange = exchange;
    inquiry->if_none_match = request_header(wsi, WSI_TOKEN_HTTP_IF_NONE_MATCH);
    inquiry->answer = answer;
    inquiry->question.sql = sql;
    inquiry->question.on_rows = on_rows;
    inquiry->question.on_failed = on_failed;
    exchange_own(exchange, &events, inquiry);
    reader_ask(api->reader, &inquiry->question);
}
