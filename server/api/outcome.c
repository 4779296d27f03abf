/* GET /api/outcome: what became of a transaction whose COMMIT was not answered. */
#include "server/outcome.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/memory.h"
#include "common/tunnel/tunnel_outcome.h"
#include "server/api/api_state.h"
#include "server/proxy/control.h"
#include "server/request.h"

struct outcome_request {
    struct api *api;
    struct exchange *exchange;
    struct outcome_question question;
    uint64_t xid;
};

static void free_request(struct outcome_request *request)
{
    reader_forget(request->api->reader, &request->question.reader);
    free(request);
}

static void on_gone(void *owner)
{
    free_request(owner);
}

static void on_answer(struct outcome_question *question, enum tunnel_outcome outcome,
                      const struct error *error)
{
    struct outcome_request *request = lws_container_of(question, struct outcome_request, question);
    struct reply reply = {
        .status = 200, .type = "application/json", .headers = "Cache-Control: no-store\r\n"};
    char *body = mem_format("{\"xid\":\"%" PRIu64 "\",\"outcome\":\"%s\"}\n", request->xid,
                            tunnel_outcome_name(outcome));

    reply.body = body;
    if (error != NULL)
        api_refuse_unavailable(request->exchange, error);
    else
        exchange_reply(request->exchange, &reply);
    free(body);
    free_request(request);
}

/* False when it is missing, or no number. */
static bool take_number(struct lws *wsi, const char *name, uint64_t max, uint64_t *number)
{
    char *text = request_argument(wsi, name);
    uint64_t value = 0;
    bool valid = text != NULL && text[0] != '\0';

    for (const char *at = text; valid && *at != '\0'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');

        valid = *at >= '0' && *at <= '9' && value <= (max - digit) / 10;
        value = value * 10 + digit;
    }
    free(text);
    *number = value;
    return valid;
}

static bool take_subject(struct lws *wsi, struct outcome_subject *subject)
{
    uint64_t timeline = 0;
    bool placed = take_number(wsi, "system", UINT64_MAX, &subject->system) &&
                  take_number(wsi, "timeline", UINT32_MAX, &timeline) &&
                  take_number(wsi, "generation", UINT64_MAX, &subject->generation);

    subject->timeline = (uint32_t)timeline;
    if (!placed)
        subject->system = 0;
    return take_number(wsi, "xid", UINT64_MAX, &subject->xid) && subject->xid > 0;
}

bool api_outcome_is_own(const struct api *api, struct lws *wsi)
{
    const struct control *control = api->server->control;
    struct outcome_subject subject;
    uint8_t right[TUNNEL_PROOF_SIZE];
    char *given = request_argument(wsi, "proof");
    char text[2 * TUNNEL_PROOF_SIZE + 1];
    bool is_own = false;

    if (given != NULL && control_obstacle(control) == NULL && take_subject(wsi, &subject) &&
        subject.system != 0) {
        outcome_prove(control_cancel_key(control), &subject, right);
        tunnel_proof_text(right, text);
        is_own = bytes_equal_secret(bytes_of_string(given), bytes_of_string(text));
    }
    free(given);
    return is_own;
}

void api_outcome(struct api *api, struct lws *wsi, struct exchange *exchange)
{
    static const struct exchange_events events = {.on_gone = on_gone};
    struct outcome_request *request;
    struct outcome_subject subject;

    if (!take_subject(wsi, &subject)) {
        api_refuse(exchange, 400, NULL, "xid must be the number of a transaction");
        return;
    }
    request = mem_new(sizeof(*request));
    request->api = api;
    request->exchange = exchange;
    request->xid = subject.xid;
    request->question.on_answer = on_answer;
    exchange_own(exchange, &events, request);
    outcome_ask(api->reader, &request->question, &subject, false);
}
