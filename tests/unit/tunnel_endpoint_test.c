/* common/tunnel/endpoint*.c: single steps. Long conversations are the simulation's. */
#include "common/tunnel/endpoint.h"

#include <string.h>

#include "common/tunnel/tunnel_auth.h"
#include "tests/support/suite.h"

#define NO_FRAME ((enum tunnel_frame_type)0)

static struct budget budget = {.limit = 64 << 20};
static const struct endpoint_settings settings = {
    .budget = &budget,
    .window = 4 * TUNNEL_WINDOW_MIN,
    .max_frame = 2 * TUNNEL_FRAME_MIN,
    .ring_max = 1 << 20,
    .instance = 77,
    .retain_s = 120,
    .ping_s = 20,
};
static const struct tunnel_id id = {{1}};
static const struct tunnel_key key = {{2}};

static struct endpoint *client;
static struct endpoint *server;
static uint32_t client_at; /* the attachment */
static uint32_t server_at;
static int64_t now = 5000000;

/* What went over the wire last, and what it did. */
static struct tunnel_frame frame;
static enum endpoint_event event;
static uint8_t wire[1 << 20];
/* What the sinks got since somebody looked. */
static uint8_t received[1 << 20];
static size_t received_len;

static enum tunnel_frame_type take_at_most(struct endpoint *from, uint32_t attachment, size_t max)
{
    struct endpoint_output output;
    struct error error;

    if (!endpoint_take(from, now, attachment, max, &output))
        return NO_FRAME;
    ck_assert_uint_le(output.head_len + output.payload.len, max);
    memcpy(wire, output.head, output.head_len);
    if (output.payload.len > 0)
        memcpy(wire + output.head_len, output.payload.data, output.payload.len);
    ck_assert_int_eq(
        tunnel_frame_decode(bytes_of(wire, output.head_len + output.payload.len), &frame, &error),
        STATUS_OK);
    return frame.type;
}

static enum tunnel_frame_type take(struct endpoint *from, uint32_t attachment)
{
    bool has_output = endpoint_has_output(from, now, attachment);
    enum tunnel_frame_type type = take_at_most(from, attachment, sizeof wire);

    ck_assert_int_eq(has_output, type != NO_FRAME);
    return type;
}

/* Hands `frame` to an endpoint whose sink takes everything. */
static void give(struct endpoint *to, uint32_t attachment)
{
    event = endpoint_frame(to, now, attachment, &frame);
    if (event != ENDPOINT_DATA)
        return;
    struct bytes fresh = endpoint_fresh(to);
    memcpy(received + received_len, fresh.data, fresh.len);
    received_len += fresh.len;
    endpoint_accept(to, now, fresh.len);
}

static enum tunnel_frame_type to_server(void)
{
    enum tunnel_frame_type type = take(client, client_at);

    if (type != NO_FRAME)
        give(server, server_at);
    return type;
}

static enum tunnel_frame_type to_client(void)
{
    enum tunnel_frame_type type = take(server, server_at);

    if (type != NO_FRAME)
        give(client, client_at);
    return type;
}

static void exchange(void)
{
    while (to_server() != NO_FRAME || to_client() != NO_FRAME)
        ;
}

static void write_source(struct endpoint *endpoint, const char *data, size_t len)
{
    while (len > 0) {
        size_t room;
        uint8_t *place = endpoint_source_reserve(endpoint, now, len, &room);
        ck_assert_ptr_nonnull(place);
        memcpy(place, data, room);
        endpoint_source_commit(endpoint, room);
        data += room;
        len -= room;
    }
}

static void write_text(struct endpoint *endpoint, const char *text)
{
    write_source(endpoint, text, strlen(text));
}

static void write_zeros(struct endpoint *endpoint, size_t len)
{
    static const char zeros[1 << 20];

    write_source(endpoint, zeros, len);
}

static void assert_received(const char *text)
{
    ck_assert_uint_eq(received_len, strlen(text));
    ck_assert_mem_eq(received, text, received_len);
    received_len = 0;
}

static void assert_ended(const struct endpoint *endpoint, enum tunnel_end reason)
{
    const struct tunnel_reset *end = endpoint_end(endpoint);

    ck_assert_ptr_nonnull(end);
    ck_assert_int_eq(end->reason, reason);
}

static void start(void)
{
    client = endpoint_new_client(&settings, &id, &key, bytes_of_string("program=psql\n"));
    client_at = endpoint_attach(client, now);
}

/* OPEN arrives. */
static void open_server(void)
{
    ck_assert_int_eq(take(client, client_at), TUNNEL_OPEN);
    server = endpoint_new_server(&settings, &frame.open);
    server_at = endpoint_attach(server, now);
}

static void open_session(void)
{
    start();
    open_server();
    exchange();
    ck_assert_int_eq(endpoint_state(client), ENDPOINT_ATTACHED);
    ck_assert_int_eq(endpoint_state(server), ENDPOINT_ATTACHED);
    endpoint_established(client);
    endpoint_established(server);
}

static void end_session(void)
{
    endpoint_free(client);
    endpoint_free(server);
    ck_assert_uint_eq(budget.used, 0);
}

static void cut(void)
{
    endpoint_detach(client, now, client_at);
    endpoint_detach(server, now, server_at);
}

/* A new carrier; RESUME arrives. */
static enum tunnel_refusal resume(void)
{
    client_at = endpoint_attach(client, now);
    ck_assert_int_eq(take(client, client_at), TUNNEL_RESUME);
    ck_assert_int_eq(take(client, client_at), NO_FRAME);
    return endpoint_resume(server, now, &frame.resume, &server_at);
}

static void resume_session(void)
{
    ck_assert_int_eq(resume(), TUNNEL_REFUSAL_NONE);
    ck_assert_int_eq(to_client(), TUNNEL_RESUMED);
    ck_assert_int_eq(event, ENDPOINT_UP);
    exchange();
}

/* Opening */

START_TEST(data_may_follow_open_at_once)
{
    start();
    write_zeros(client, TUNNEL_WINDOW_MIN);
    size_t room;
    ck_assert_ptr_null(endpoint_source_reserve(client, now, 1, &room));
    endpoint_source_end(client);
    open_server();
    size_t sent = 0;
    while (take(client, client_at) == TUNNEL_DATA) {
        ck_assert_uint_le(frame.data.bytes.len + TUNNEL_DATA_HEADER, TUNNEL_FRAME_MIN);
        sent += frame.data.bytes.len;
        give(server, server_at);
    }
    /* The end, like all else, waits for the answer. */
    ck_assert_uint_eq(sent, TUNNEL_WINDOW_MIN);
    ck_assert_int_eq(to_client(), TUNNEL_OPENED);
    ck_assert_int_eq(event, ENDPOINT_UP);
    ck_assert_uint_eq(endpoint_terms(client)->retain_s, 120);
    ck_assert_int_eq(to_server(), TUNNEL_FIN);
    end_session();
}
END_TEST

START_TEST(a_session_ends_when_both_have_finished)
{
    open_session();
    write_text(client, "question");
    exchange();
    assert_received("question");
    write_text(server, "answer");
    endpoint_source_end(server);
    exchange();
    assert_received("answer");
    ck_assert(endpoint_sink_ended(client));
    ck_assert_ptr_null(endpoint_end(client));
    write_text(client, "last words");
    endpoint_source_end(client);
    exchange();
    assert_received("last words");
    assert_ended(client, TUNNEL_END_FINISHED);
    assert_ended(server, TUNNEL_END_FINISHED);
    ck_assert_int_eq(take(client, client_at), NO_FRAME);
    end_session();
}
END_TEST

START_TEST(an_open_whose_answer_was_lost_is_resumed)
{
    start();
    write_text(client, "start-up");
    open_server();
    ck_assert_int_eq(to_server(), TUNNEL_DATA);
    ck_assert_int_eq(take(server, server_at), TUNNEL_OPENED); /* lost */
    cut();
    ck_assert_int_eq(resume(), TUNNEL_REFUSAL_NONE);
    ck_assert_uint_eq(frame.resume.instance, 0);
    ck_assert_int_eq(to_client(), TUNNEL_RESUMED);
    ck_assert_uint_eq(endpoint_terms(client)->instance, 77);
    ck_assert_int_eq(endpoint_state(client), ENDPOINT_ATTACHED);
    exchange();
    assert_received("start-up");
    end_session();
}
END_TEST

static void refuse_client(enum tunnel_refusal reason)
{
    frame = (struct tunnel_frame){.type = TUNNEL_REFUSED,
                                  .refused = {.reason = (uint16_t)reason, .retry_after_s = 3}};
    give(client, client_at);
    ck_assert_int_eq(event, ENDPOINT_REFUSED);
    ck_assert_uint_eq(endpoint_attachment(client), 0);
}

START_TEST(an_open_that_never_came_is_made_again_under_another_id)
{
    static const struct tunnel_id other = {{9}};

    start();
    write_text(client, "start-up");
    ck_assert_int_eq(take(client, client_at), TUNNEL_OPEN); /* lost, with what follows */
    ck_assert_int_eq(take(client, client_at), TUNNEL_DATA);
    endpoint_detach(client, now, client_at);
    client_at = endpoint_attach(client, now);
    ck_assert_int_eq(take(client, client_at), TUNNEL_RESUME);
    refuse_client(TUNNEL_REFUSAL_UNKNOWN);
    endpoint_reopen(client, &other, &key);
    client_at = endpoint_attach(client, now);
    open_server();
    ck_assert_mem_eq(endpoint_id(server), &other, sizeof other);
    exchange();
    assert_received("start-up");
    end_session();
}
END_TEST

START_TEST(a_refused_open_is_made_again)
{
    start();
    write_text(client, "start-up");
    ck_assert_int_eq(take(client, client_at), TUNNEL_OPEN);
    ck_assert_int_eq(take(client, client_at), TUNNEL_DATA);
    refuse_client(TUNNEL_REFUSAL_FULL);
    ck_assert_int_eq(endpoint_state(client), ENDPOINT_NEW);
    client_at = endpoint_attach(client, now);
    open_server();
    exchange();
    assert_received("start-up");
    end_session();
}
END_TEST

START_TEST(an_open_that_came_twice_is_resumed)
{
    start();
    open_server();
    refuse_client(TUNNEL_REFUSAL_EXISTS); /* the answer to the one that a proxy repeated */
    resume_session();
    ck_assert_int_eq(endpoint_state(client), ENDPOINT_ATTACHED);
    end_session();
}
END_TEST

/* Resuming */

START_TEST(what_was_under_way_when_it_broke_is_sent_again)
{
    open_session();
    write_text(client, "one ");
    exchange();
    write_text(client, "two ");
    ck_assert_int_eq(take(client, client_at), TUNNEL_DATA); /* lost */
    write_text(server, "three");
    endpoint_source_end(server);
    ck_assert_int_eq(take(server, server_at), TUNNEL_DATA); /* lost */
    ck_assert_int_eq(take(server, server_at), TUNNEL_FIN);  /* lost */
    cut();
    write_text(client, "four");
    resume_session();
    assert_received("one two fourthree");
    ck_assert(endpoint_sink_ended(client));
    ck_assert_uint_eq(endpoint_counts(client).bytes_resent, 4);
    ck_assert_uint_eq(endpoint_counts(server).bytes_resent, 5);
    end_session();
}
END_TEST

START_TEST(what_came_is_not_sent_again_though_the_sink_did_not_take_it)
{
    open_session();
    write_text(client, "waits");
    ck_assert_int_eq(take(client, client_at), TUNNEL_DATA);
    ck_assert_int_eq(endpoint_frame(server, now, server_at, &frame), ENDPOINT_DATA);
    endpoint_accept(server, now, 2);
    cut();
    resume_session();
    ck_assert_uint_eq(endpoint_counts(client).bytes_resent, 0);
    ck_assert_uint_eq(endpoint_queued(server).len, 3);
    ck_assert_mem_eq(endpoint_queued(server).data, "its", 3);
    endpoint_consume(server, now, 3);
    end_session();
}
END_TEST

START_TEST(an_attachment_that_was_left_is_ignored)
{
    uint32_t old_client;
    uint32_t old_server;

    open_session();
    old_client = client_at;
    old_server = server_at;
    write_text(server, "late");
    ck_assert_int_eq(take(server, server_at), TUNNEL_DATA);
    struct tunnel_frame late = frame;
    late.data.bytes = bytes_of_string("late");
    resume_session(); /* while the old one is still there */
    assert_received("late");

    frame = late;
    give(client, old_client);
    ck_assert_int_eq(event, ENDPOINT_NOTHING);
    frame = (struct tunnel_frame){.type = TUNNEL_ACK, .ack = 1000000};
    give(server, old_server);
    ck_assert_ptr_null(endpoint_end(server));
    endpoint_detach(server, now, old_server);
    endpoint_detach(client, now, old_client);
    ck_assert_int_eq(endpoint_state(server), ENDPOINT_ATTACHED);
    ck_assert_int_eq(endpoint_state(client), ENDPOINT_ATTACHED);
    ck_assert_int_eq(take(server, old_server), NO_FRAME);
    end_session();
}
END_TEST

static struct tunnel_resume sealed(struct tunnel_resume fields)
{
    fields.seal = tunnel_seal_resume(&key, &fields);
    return fields;
}

START_TEST(a_refused_resume_harms_nothing)
{
    uint32_t attachment = 12345;

    open_session();
    cut();
    resume_session(); /* attempt 1 */
    struct tunnel_resume good = {.id = id, .instance = 77, .attempt = 2, .next = 0};
    struct tunnel_resume bad = sealed(good);
    bad.next = 1;
    ck_assert_int_eq(endpoint_resume(server, now, &bad, &attachment), TUNNEL_REFUSAL_DENIED);
    bad = sealed((struct tunnel_resume){.id = {{8}}, .instance = 77, .attempt = 2});
    ck_assert_int_eq(endpoint_resume(server, now, &bad, &attachment), TUNNEL_REFUSAL_DENIED);
    bad = sealed((struct tunnel_resume){.id = id, .instance = 78, .attempt = 2});
    ck_assert_int_eq(endpoint_resume(server, now, &bad, &attachment), TUNNEL_REFUSAL_NOT_HERE);
    bad = sealed((struct tunnel_resume){.id = id, .instance = 77, .attempt = 1});
    ck_assert_int_eq(endpoint_resume(server, now, &bad, &attachment), TUNNEL_REFUSAL_STALE);
    ck_assert_uint_eq(attachment, 12345);
    ck_assert_uint_eq(endpoint_attachment(server), server_at);
    write_text(client, "still there");
    exchange();
    assert_received("still there");
    good = sealed(good);
    ck_assert_int_eq(endpoint_resume(server, now, &good, &attachment), TUNNEL_REFUSAL_NONE);
    end_session();
}
END_TEST

START_TEST(a_resume_from_where_it_cannot_be_ends_the_session)
{
    struct tunnel_resume silly =
        sealed((struct tunnel_resume){.id = id, .instance = 77, .attempt = 1, .next = 1000});

    open_session();
    ck_assert_int_eq(endpoint_resume(server, now, &silly, &server_at), TUNNEL_REFUSAL_NONE);
    assert_ended(server, TUNNEL_END_PROTOCOL);
    ck_assert_int_eq(take(server, server_at), TUNNEL_RESET);
    ck_assert_int_eq(take(server, server_at), NO_FRAME);
    end_session();
}
END_TEST

START_TEST(another_server_cannot_resume)
{
    open_session();
    cut();
    ck_assert_int_eq(resume(), TUNNEL_REFUSAL_NONE);
    ck_assert_int_eq(take(server, server_at), TUNNEL_RESUMED);
    frame.resumed.terms.instance++;
    give(client, client_at);
    assert_ended(client, TUNNEL_END_PROTOCOL);
    end_session();
}
END_TEST

START_TEST(an_answer_to_another_attempt_is_a_violation)
{
    open_session();
    cut();
    ck_assert_int_eq(resume(), TUNNEL_REFUSAL_NONE);
    ck_assert_int_eq(take(server, server_at), TUNNEL_RESUMED);
    frame.resumed.attempt++;
    give(client, client_at);
    assert_ended(client, TUNNEL_END_PROTOCOL);
    end_session();
}
END_TEST

START_TEST(a_last_ack_that_was_lost_does_not_matter)
{
    open_session();
    endpoint_source_end(server);
    exchange();
    endpoint_source_end(client);
    ck_assert_int_eq(to_server(), TUNNEL_FIN);
    ck_assert_int_eq(take(server, server_at), TUNNEL_ACK); /* lost */
    assert_ended(server, TUNNEL_END_FINISHED);
    cut();
    ck_assert_int_eq(resume(), TUNNEL_REFUSAL_NONE);
    ck_assert_int_eq(to_client(), TUNNEL_RESET);
    assert_ended(client, TUNNEL_END_FINISHED);
    end_session();
}
END_TEST

START_TEST(a_client_that_resumes_what_is_over_is_told_so)
{
    open_session();
    endpoint_reset(server, &(struct tunnel_reset){.reason = TUNNEL_END_SHUTDOWN,
                                                  .outcome = TUNNEL_OUTCOME_ROLLED_BACK,
                                                  .xid = 4711,
                                                  .text = bytes_of_string("drained")});
    ck_assert_int_eq(take(server, server_at), TUNNEL_RESET); /* lost */
    cut();
    ck_assert_int_eq(resume(), TUNNEL_REFUSAL_NONE);
    ck_assert_int_eq(to_client(), TUNNEL_RESET);
    assert_ended(client, TUNNEL_END_SHUTDOWN);
    ck_assert_int_eq(endpoint_end(client)->outcome, TUNNEL_OUTCOME_ROLLED_BACK);
    ck_assert_uint_eq(endpoint_end(client)->xid, 4711);
    ck_assert(bytes_equal_string(endpoint_end(client)->text, "drained"));
    end_session();
}
END_TEST

/* Violations */

/* What is not allowed at all, once attached: {to the client?, frame}. */
static const struct {
    bool is_client;
    enum tunnel_frame_type type;
} never[] = {
    {true, TUNNEL_OPEN},     {true, TUNNEL_OPENED}, {true, TUNNEL_RESUME},   {true, TUNNEL_RESUMED},
    {true, TUNNEL_CANCEL},   {false, TUNNEL_OPEN},  {false, TUNNEL_OPENED},  {false, TUNNEL_RESUME},
    {false, TUNNEL_RESUMED}, {false, TUNNEL_MOVE},  {false, TUNNEL_REFUSED}, {false, TUNNEL_TXN},
};

START_TEST(a_frame_that_is_not_allowed_ends_the_session)
{
    open_session();
    struct endpoint *endpoint = never[_i].is_client ? client : server;
    uint32_t at = never[_i].is_client ? client_at : server_at;
    frame = (struct tunnel_frame){.type = never[_i].type};
    give(endpoint, at);
    assert_ended(endpoint, TUNNEL_END_PROTOCOL);
    ck_assert_int_eq(take(endpoint, at), TUNNEL_RESET);
    ck_assert_int_eq(frame.reset.outcome, TUNNEL_OUTCOME_UNKNOWN);
    ck_assert_int_eq(take(endpoint, at), NO_FRAME);
    end_session();
}
END_TEST

START_TEST(nothing_comes_before_the_answer_to_open)
{
    static const enum tunnel_frame_type early[] = {TUNNEL_DATA,   TUNNEL_ACK, TUNNEL_FIN,
                                                   TUNNEL_MOVE,   TUNNEL_TXN, TUNNEL_KEEPALIVE,
                                                   TUNNEL_RESUMED};
    start();
    frame = (struct tunnel_frame){.type = early[_i]};
    give(client, client_at);
    assert_ended(client, TUNNEL_END_PROTOCOL);
    endpoint_free(client);
}
END_TEST

START_TEST(an_ack_of_what_was_never_sent_ends_the_session)
{
    open_session();
    write_text(client, "1234");
    ck_assert_int_eq(to_server(), TUNNEL_DATA);
    frame = (struct tunnel_frame){.type = TUNNEL_ACK, .ack = 5};
    give(client, client_at);
    assert_ended(client, TUNNEL_END_PROTOCOL);
    end_session();
}
END_TEST

START_TEST(nobody_can_finish_for_both)
{
    open_session();
    write_text(server, "to come");
    endpoint_source_end(server);
    endpoint_source_end(client);
    frame = (struct tunnel_frame){.type = TUNNEL_RESET, .reset = {.reason = TUNNEL_END_FINISHED}};
    give(client, client_at);
    assert_ended(client, TUNNEL_END_PROTOCOL); /* or what is to come would be lost unnoticed */
    end_session();
}
END_TEST

START_TEST(what_is_no_frame_ends_the_session)
{
    struct error error;

    open_session();
    error_set(&error, STATUS_INVALID, "08P01", "a tunnel frame is empty");
    endpoint_malformed(server, now, server_at, &error);
    ck_assert_int_eq(to_client(), TUNNEL_RESET);
    assert_ended(client, TUNNEL_END_PROTOCOL);
    ck_assert(bytes_equal_string(endpoint_end(client)->text, "a tunnel frame is empty"));
    end_session();
}
END_TEST

/* Time */

static void wait_for(int64_t ms)
{
    now += ms;
}

START_TEST(what_is_handed_on_is_acknowledged_within_100_ms)
{
    open_session();
    write_text(client, "some");
    ck_assert_int_eq(to_server(), TUNNEL_DATA);
    ck_assert_int_eq(to_client(), NO_FRAME);
    ck_assert_int_eq(endpoint_deadline(server, now), now + 100);
    wait_for(60);
    write_text(client, "more");
    ck_assert_int_eq(to_server(), TUNNEL_DATA);
    wait_for(40);
    ck_assert_int_eq(to_client(), TUNNEL_ACK);
    ck_assert_uint_eq(frame.ack, 8);
    ck_assert_uint_eq(endpoint_counts(client).ring, 0);
    end_session();
}
END_TEST

START_TEST(a_quarter_of_the_window_is_acknowledged_at_once)
{
    open_session();
    write_zeros(client, settings.window / 4);
    while (to_server() == TUNNEL_DATA)
        ;
    ck_assert_int_eq(to_client(), TUNNEL_ACK);
    ck_assert_uint_eq(frame.ack, settings.window / 4);
    end_session();
}
END_TEST

START_TEST(silence_is_broken_by_a_keepalive)
{
    open_session();
    wait_for(19999);
    ck_assert_int_eq(to_server(), NO_FRAME);
    ck_assert_int_eq(endpoint_deadline(client, now), now + 1);
    wait_for(1);
    ck_assert_int_eq(to_server(), TUNNEL_KEEPALIVE);
    ck_assert_int_eq(to_server(), NO_FRAME);
    ck_assert_int_eq(endpoint_deadline(client, now), now + 20000);
    end_session();
}
END_TEST

START_TEST(an_end_that_owes_an_ack_breaks_silence_sooner)
{
    open_session();
    write_text(client, "waits");
    ck_assert_int_eq(take(client, client_at), TUNNEL_DATA);
    ck_assert_int_eq(endpoint_frame(server, now, server_at, &frame), ENDPOINT_DATA);
    endpoint_accept(server, now, 0); /* the sink takes nothing for a long time */
    for (int i = 0; i < 20; i++) {
        wait_for(ENDPOINT_OWING_PING_MS);
        ck_assert_int_eq(to_client(), TUNNEL_KEEPALIVE);
        ck_assert_int_eq(endpoint_timer(client, now), ENDPOINT_NOTHING);
        to_server();
    }
    end_session();
}
END_TEST

START_TEST(what_is_due_but_cannot_be_sent_is_no_deadline)
{
    open_session();
    wait_for(30000); /* nobody takes the KEEPALIVE: the attachment has no room */
    ck_assert_int_eq(endpoint_deadline(server, now), now + 15000); /* only death is ahead */
    end_session();
}
END_TEST

START_TEST(a_server_leaves_a_silent_attachment)
{
    open_session();
    wait_for(44999);
    ck_assert_int_eq(endpoint_timer(server, now), ENDPOINT_NOTHING);
    wait_for(1);
    ck_assert_int_eq(endpoint_timer(server, now), ENDPOINT_DEAD);
    ck_assert_int_eq(endpoint_state(server), ENDPOINT_DETACHED);
    ck_assert_uint_eq(endpoint_attachment(server), 0);
    end_session();
}
END_TEST

START_TEST(a_client_stays_until_it_has_another_attachment)
{
    open_session();
    wait_for(45000);
    ck_assert_int_eq(endpoint_timer(client, now), ENDPOINT_DEAD);
    ck_assert_int_eq(endpoint_timer(client, now), ENDPOINT_NOTHING); /* once */
    ck_assert_int_eq(endpoint_state(client), ENDPOINT_ATTACHED);
    write_text(server, "only slow");
    exchange();
    assert_received("only slow");
    resume_session();
    end_session();
}
END_TEST

START_TEST(silence_is_shorter_while_something_is_unacknowledged)
{
    open_session();
    wait_for(10000);
    write_text(client, "hello?");
    ck_assert_int_eq(take(client, client_at), TUNNEL_DATA); /* lost */
    wait_for(14999); /* since it was sent, not since the last sign of life */
    ck_assert_int_eq(endpoint_timer(client, now), ENDPOINT_NOTHING);
    wait_for(1);
    ck_assert_int_eq(endpoint_timer(client, now), ENDPOINT_DEAD);
    end_session();
}
END_TEST

START_TEST(any_byte_is_life)
{
    open_session();
    for (int i = 0; i < 10; i++) {
        wait_for(40000);
        endpoint_heard(server, now, server_at);
        ck_assert_int_eq(endpoint_timer(server, now), ENDPOINT_NOTHING);
    }
    end_session();
}
END_TEST

START_TEST(an_opening_that_is_not_answered_is_given_up)
{
    start();
    wait_for(15000);
    ck_assert_int_eq(endpoint_deadline(client, now), now);
    ck_assert_int_eq(endpoint_timer(client, now), ENDPOINT_DEAD);
    ck_assert_int_eq(endpoint_state(client), ENDPOINT_DETACHED);
    endpoint_free(client);
}
END_TEST

START_TEST(two_cuts_by_silence_halve_the_ping)
{
    static const int64_t pings[] = {20000, 10000, 5000, 2500, 2000, 2000};

    open_session();
    for (size_t i = 0; i < sizeof pings / sizeof pings[0]; i++) {
        ck_assert_int_eq(endpoint_deadline(client, now), now + pings[i]);
        wait_for(2000);
        cut();
        resume_session();
        wait_for(100);
        cut(); /* not by silence: does not count, and what was counted is forgotten */
        resume_session();
        for (int twice = 0; twice < 2; twice++) {
            wait_for(2000);
            cut();
            resume_session();
        }
    }
    ck_assert_uint_eq(endpoint_terms(client)->ping_s, 2);
    end_session();
}
END_TEST

START_TEST(failed_attempts_are_no_cuts_by_silence)
{
    open_session();
    cut();
    for (int i = 0; i < 10; i++) {
        client_at = endpoint_attach(client, now);
        wait_for(5000);
        endpoint_detach(client, now, client_at);
    }
    resume_session();
    ck_assert_int_eq(endpoint_deadline(client, now), now + 20000);
    end_session();
}
END_TEST

START_TEST(a_detached_session_expires)
{
    open_session();
    cut();
    ck_assert_int_eq(endpoint_deadline(server, now), now + 120000);
    wait_for(119999);
    endpoint_timer(server, now);
    ck_assert_ptr_null(endpoint_end(server));
    wait_for(1);
    endpoint_timer(server, now);
    assert_ended(server, TUNNEL_END_EXPIRED);
    ck_assert_int_eq(endpoint_deadline(server, now), INT64_MAX);
    end_session();
}
END_TEST

START_TEST(before_it_is_established_a_session_expires_soon)
{
    start();
    open_server();
    endpoint_detach(server, now, server_at);
    ck_assert_int_eq(endpoint_deadline(server, now), now + ENDPOINT_RETAIN_STARTUP_MS);
    wait_for(ENDPOINT_RETAIN_STARTUP_MS);
    endpoint_timer(server, now);
    assert_ended(server, TUNNEL_END_EXPIRED);
    end_session();
}
END_TEST

START_TEST(a_client_gives_up_once_the_server_must_have)
{
    open_session();
    int64_t lost = now;
    ck_assert_int_eq(endpoint_hopeless_at(client), INT64_MAX); /* it is attached */
    cut();
    ck_assert_int_eq(endpoint_hopeless_at(client), lost + 120000);
    wait_for(1000);
    client_at = endpoint_attach(client, now); /* an attempt does not start the clock again */
    endpoint_detach(client, now, client_at);
    ck_assert_int_eq(endpoint_hopeless_at(client), lost + 120000);
    resume_session();
    ck_assert_int_eq(endpoint_hopeless_at(client), INT64_MAX);
    end_session();
}
END_TEST

START_TEST(a_silent_attachment_is_no_reason_to_hope_for_ever)
{
    open_session();
    wait_for(ENDPOINT_DEAD_MS);
    ck_assert_int_eq(endpoint_timer(client, now), ENDPOINT_DEAD);
    int64_t lost = now;
    ck_assert_int_eq(endpoint_state(client), ENDPOINT_ATTACHED);
    ck_assert_int_eq(endpoint_hopeless_at(client), lost + 120000);
    wait_for(1000);
    cut(); /* nor does its end */
    ck_assert_int_eq(endpoint_hopeless_at(client), lost + 120000);
    end_session();
}
END_TEST

START_TEST(an_attachment_that_was_only_slow_works_again)
{
    open_session();
    wait_for(ENDPOINT_DEAD_MS);
    ck_assert_int_eq(endpoint_timer(client, now), ENDPOINT_DEAD);
    endpoint_heard(client, now, client_at);
    ck_assert_int_eq(endpoint_hopeless_at(client), INT64_MAX);
    end_session();
}
END_TEST

START_TEST(before_it_is_established_a_client_gives_up_soon)
{
    start();
    open_server();
    cut();
    ck_assert_int_eq(endpoint_hopeless_at(client), now + ENDPOINT_RETAIN_STARTUP_MS);
    end_session();
}
END_TEST

/* What else can be said */

START_TEST(a_move_is_asked_for_once_an_attachment)
{
    open_session();
    endpoint_move(server, 7);
    ck_assert_int_eq(to_client(), TUNNEL_MOVE);
    ck_assert_int_eq(event, ENDPOINT_MOVE);
    ck_assert_uint_eq(frame.move_within_s, 7);
    ck_assert_int_eq(to_client(), NO_FRAME);
    endpoint_move(server, 7);
    resume_session(); /* which fulfils it */
    ck_assert_int_eq(to_client(), NO_FRAME);
    end_session();
}
END_TEST

START_TEST(a_cancel_request_reaches_the_server)
{
    static const char secret[] = "\1\2\3\4";

    open_session();
    write_zeros(client, 1000);
    endpoint_cancel(client, &(struct tunnel_cancel){.pid = 1, .key = bytes_of("x", 1)});
    endpoint_cancel(client, &(struct tunnel_cancel){.pid = 42, .key = bytes_of(secret, 4)});
    ck_assert_int_eq(to_server(), TUNNEL_CANCEL); /* in front of the bytes that wait */
    ck_assert_int_eq(event, ENDPOINT_CANCEL);
    ck_assert_uint_eq(frame.cancel.pid, 42);
    ck_assert(bytes_equal(frame.cancel.key, bytes_of(secret, 4)));
    ck_assert_int_eq(to_server(), TUNNEL_DATA);
    end_session();
}
END_TEST

START_TEST(a_cancel_request_waits_for_an_attachment)
{
    open_session();
    cut();
    endpoint_cancel(client, &(struct tunnel_cancel){.pid = 42});
    ck_assert_int_eq(resume(), TUNNEL_REFUSAL_NONE);
    ck_assert_int_eq(to_client(), TUNNEL_RESUMED);
    ck_assert_int_eq(to_server(), TUNNEL_CANCEL);
    endpoint_cancel(client, &(struct tunnel_cancel){.pid = 43}); /* and is freed if none comes */
    end_session();
}
END_TEST

START_TEST(a_transaction_is_named_with_the_place_of_its_reply)
{
    open_session();
    write_text(server, "earlier replies");
    endpoint_txn(server,
                 &(struct tunnel_txn){.xid = 4711, .offset = endpoint_source_offset(server)});
    ck_assert_int_eq(to_client(), TUNNEL_TXN);
    ck_assert_int_eq(event, ENDPOINT_TXN);
    ck_assert_uint_eq(frame.txn.xid, 4711);
    ck_assert_uint_eq(frame.txn.offset, 15);
    ck_assert_uint_lt(endpoint_sink_offset(client), frame.txn.offset); /* it overtook them */
    cut();
    ck_assert_int_eq(resume(), TUNNEL_REFUSAL_NONE);
    ck_assert_int_eq(to_client(), TUNNEL_RESUMED);
    ck_assert_int_eq(to_client(), TUNNEL_TXN); /* the first may have been lost */
    ck_assert_uint_eq(frame.txn.offset, 15);
    end_session();
}
END_TEST

START_TEST(a_reset_ends_both)
{
    open_session();
    write_zeros(client, 100);
    endpoint_reset(client, &(struct tunnel_reset){.reason = TUNNEL_END_ABORTED,
                                                  .text = bytes_of_string("bad \xff text")});
    ck_assert_int_eq(to_server(), TUNNEL_RESET);
    assert_ended(server, TUNNEL_END_ABORTED);
    ck_assert_uint_eq(endpoint_end(server)->text.len, 0); /* what may not be sent is left out */
    ck_assert_int_eq(to_server(), NO_FRAME);
    ck_assert_uint_eq(budget.used, 0);
    size_t len;
    ck_assert_ptr_null(endpoint_source_reserve(client, now, 1, &len));
    end_session();
}
END_TEST

START_TEST(a_detached_end_aborts_without_a_word)
{
    open_session();
    cut();
    endpoint_reset(client, &(struct tunnel_reset){.reason = TUNNEL_END_ABORTED});
    assert_ended(client, TUNNEL_END_ABORTED);
    ck_assert_uint_eq(endpoint_attachment(client), 0);
    end_session();
}
END_TEST

/* Sizes */

START_TEST(a_frame_is_no_longer_than_there_is_room)
{
    open_session();
    write_text(client, "abcdef");
    ck_assert_int_eq(take_at_most(client, client_at, TUNNEL_DATA_HEADER), NO_FRAME);
    ck_assert_int_eq(take_at_most(client, client_at, TUNNEL_DATA_HEADER + 4), TUNNEL_DATA);
    ck_assert_uint_eq(frame.data.bytes.len, 4);
    ck_assert_int_eq(take_at_most(client, client_at, 1000), TUNNEL_DATA);
    ck_assert_uint_eq(frame.data.offset, 4);
    end_session();
}
END_TEST

START_TEST(a_frame_is_no_longer_than_the_other_end_takes)
{
    open_session();
    write_zeros(client, settings.window);
    while (take(client, client_at) == TUNNEL_DATA)
        ck_assert_uint_le(frame.data.bytes.len + TUNNEL_DATA_HEADER, settings.max_frame);
    ck_assert_uint_eq(frame.data.offset + frame.data.bytes.len, settings.window);
    end_session();
}
END_TEST

START_TEST(sending_does_not_change_the_ring)
{
    struct endpoint_output first;
    struct endpoint_output second;

    open_session();
    write_text(client, "borrowed");
    ck_assert(endpoint_take(client, now, client_at, 1000, &first));
    ck_assert_mem_eq(first.payload.data, "borrowed", 8);
    cut();
    ck_assert_int_eq(resume(), TUNNEL_REFUSAL_NONE);
    ck_assert_int_eq(to_client(), TUNNEL_RESUMED);
    ck_assert(endpoint_take(client, now, client_at, 1000, &second));
    ck_assert_ptr_eq(second.payload.data, first.payload.data); /* without a copy */
    end_session();
}
END_TEST

START_TEST(when_memory_is_short_windows_are_small_and_sources_wait)
{
    struct budget small = {.limit = 1000};
    struct endpoint_settings poor = settings;
    size_t total = 0;
    size_t len;

    poor.budget = &small;
    client = endpoint_new_client(&poor, &id, &key, bytes_of(NULL, 0));
    client_at = endpoint_attach(client, now);
    ck_assert_int_eq(take(client, client_at), TUNNEL_OPEN);
    ck_assert_uint_eq(frame.open.window, TUNNEL_WINDOW_MIN);
    while (endpoint_source_reserve(client, now, 5000, &len) != NULL) {
        endpoint_source_commit(client, len);
        total += len;
    }
    ck_assert_uint_ge(total, 1); /* some, or nothing would ever move */
    ck_assert_uint_lt(total, TUNNEL_WINDOW_MIN);
    ck_assert_int_eq(endpoint_deadline(client, now), now + ENDPOINT_STARVED_MS);
    small.limit = 1 << 20; /* others have given back */
    ck_assert_ptr_nonnull(endpoint_source_reserve(client, now, 5000, &len));
    endpoint_source_commit(client, 0);
    endpoint_free(client);
    ck_assert_uint_eq(small.used, 0);
}
END_TEST

/* Each may be filled, and then it is too late to say no. */
START_TEST(many_sessions_are_not_promised_more_memory_than_there_is)
{
    enum { MANY = 200 };
    struct budget shared = {.limit = 10 * settings.window};
    struct endpoint_settings rich = settings;
    struct endpoint *sessions[MANY];

    rich.budget = &shared;
    for (int i = 0; i < MANY; i++)
        sessions[i] = endpoint_new_client(&rich, &id, &key, bytes_of(NULL, 0));
    ck_assert_uint_le(shared.promised, shared.limit + MANY * TUNNEL_WINDOW_MIN);
    ck_assert_uint_eq(shared.used, 0);
    client_at = endpoint_attach(sessions[0], now);
    ck_assert_int_eq(take(sessions[0], client_at), TUNNEL_OPEN);
    ck_assert_uint_eq(frame.open.window, settings.window);
    client_at = endpoint_attach(sessions[MANY - 1], now);
    ck_assert_int_eq(take(sessions[MANY - 1], client_at), TUNNEL_OPEN);
    ck_assert_uint_eq(frame.open.window, TUNNEL_WINDOW_MIN);
    for (int i = 0; i < MANY; i++)
        endpoint_free(sessions[i]);
    ck_assert_uint_eq(shared.promised, 0);
}
END_TEST

START_TEST(an_answer_that_may_be_lost_is_said_again)
{
    open_session();
    write_text(client, "x");
    exchange();
    wait_for(100);
    write_text(server, "answer");
    endpoint_source_end(server);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(take(server, server_at), TUNNEL_ACK);
        ck_assert_int_eq(take(server, server_at), TUNNEL_DATA);
        ck_assert_uint_eq(frame.data.bytes.len, 6);
        ck_assert_int_eq(take(server, server_at), TUNNEL_FIN);
        ck_assert_int_eq(take(server, server_at), NO_FRAME);
        endpoint_rewind(server, server_at);
    }
    exchange();
    endpoint_confirm(server, server_at);
    endpoint_rewind(server, server_at);
    ck_assert_int_eq(take(server, server_at), TUNNEL_ACK);
    ck_assert_int_eq(take(server, server_at), NO_FRAME);
    end_session();
}
END_TEST

SUITE("tunnel_endpoint", TEST(data_may_follow_open_at_once),
      TEST(a_session_ends_when_both_have_finished), TEST(an_open_whose_answer_was_lost_is_resumed),
      TEST(an_open_that_never_came_is_made_again_under_another_id),
      TEST(a_refused_open_is_made_again), TEST(an_open_that_came_twice_is_resumed),
      TEST(what_was_under_way_when_it_broke_is_sent_again),
      TEST(what_came_is_not_sent_again_though_the_sink_did_not_take_it),
      TEST(an_attachment_that_was_left_is_ignored), TEST(a_refused_resume_harms_nothing),
      TEST(a_resume_from_where_it_cannot_be_ends_the_session), TEST(another_server_cannot_resume),
      TEST(an_answer_to_another_attempt_is_a_violation),
      TEST(a_last_ack_that_was_lost_does_not_matter),
      TEST(a_client_that_resumes_what_is_over_is_told_so),
      LOOP(a_frame_that_is_not_allowed_ends_the_session, 0, sizeof never / sizeof never[0]),
      LOOP(nothing_comes_before_the_answer_to_open, 0, 7),
      TEST(an_ack_of_what_was_never_sent_ends_the_session), TEST(nobody_can_finish_for_both),
      TEST(what_is_no_frame_ends_the_session),
      TEST(what_is_handed_on_is_acknowledged_within_100_ms),
      TEST(a_quarter_of_the_window_is_acknowledged_at_once), TEST(silence_is_broken_by_a_keepalive),
      TEST(an_end_that_owes_an_ack_breaks_silence_sooner),
      TEST(what_is_due_but_cannot_be_sent_is_no_deadline),
      TEST(a_server_leaves_a_silent_attachment),
      TEST(a_client_stays_until_it_has_another_attachment),
      TEST(silence_is_shorter_while_something_is_unacknowledged), TEST(any_byte_is_life),
      TEST(an_opening_that_is_not_answered_is_given_up), TEST(two_cuts_by_silence_halve_the_ping),
      TEST(failed_attempts_are_no_cuts_by_silence), TEST(a_detached_session_expires),
      TEST(before_it_is_established_a_session_expires_soon),
      TEST(a_client_gives_up_once_the_server_must_have),
      TEST(a_silent_attachment_is_no_reason_to_hope_for_ever),
      TEST(an_attachment_that_was_only_slow_works_again),
      TEST(before_it_is_established_a_client_gives_up_soon),
      TEST(a_move_is_asked_for_once_an_attachment), TEST(a_cancel_request_reaches_the_server),
      TEST(a_cancel_request_waits_for_an_attachment),
      TEST(a_transaction_is_named_with_the_place_of_its_reply), TEST(a_reset_ends_both),
      TEST(a_detached_end_aborts_without_a_word), TEST(a_frame_is_no_longer_than_there_is_room),
      TEST(a_frame_is_no_longer_than_the_other_end_takes), TEST(sending_does_not_change_the_ring),
      TEST(when_memory_is_short_windows_are_small_and_sources_wait),
      TEST(many_sessions_are_not_promised_more_memory_than_there_is),
      TEST(an_answer_that_may_be_lost_is_said_again))
