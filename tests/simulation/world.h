/* A client, a server, and the network between them, in virtual time and in one thread.
 *
 * Everything random comes from one seed. Each end moves a stream whose bytes follow from their
 * offsets, so whatever is delivered can be checked on the spot: it must be a prefix of what was
 * sent. */
#ifndef TESTS_SIMULATION_WORLD_H
#define TESTS_SIMULATION_WORLD_H

#include "common/tunnel/endpoint.h"
#include "common/tunnel/registry.h"
#include "common/tunnel/tunnel_decoder.h"
#include "tests/simulation/pipe.h"
#include "tests/simulation/random.h"

enum side { CLIENT, SERVER };

/* One end with its source and sink. */
struct party {
    struct world *world;
    struct endpoint *endpoint;
    enum side side;
    uint64_t length;   /* of its source */
    uint64_t produced; /* so far */
    bool source_ended;
    uint64_t delivered; /* to its sink */
    bool stalled;       /* its sink takes nothing for now */
    bool sink_ended;
};

struct session {
    struct session *next;
    struct party party;
    struct registry_entry *entry;
    bool buried;
};

enum link_kind { LINK_WEBSOCKET, LINK_HTTP };

/* HTTP: what a message is. */
enum { HTTP_OPEN = 1, HTTP_POST, HTTP_GET };
enum { HTTP_OK = 200, HTTP_CONFLICT = 409 };

/* A client's request that waits for its answer; kept to be sent again just as it was. */
struct request {
    uint64_t number;
    uint64_t serial; /* GET: of the last answer that came in whole */
    bool waiting;
    int64_t again_at;
    uint8_t *body;
    size_t len;
};

struct link {
    struct link *next;
    enum link_kind kind;
    bool hostile; /* a RESUME from elsewhere; nobody reads what the server says here */
    bool forged;  /* and it was changed */
    struct pipe up;
    struct pipe down;

    /* The client's side. */
    bool client_closed;
    uint32_t client_attachment;
    struct tunnel_decoder client_decoder;
    struct request post;
    struct request get;

    /* The server's. */
    bool server_closed;
    uint32_t server_attachment;
    struct session *session;
    struct tunnel_decoder server_decoder;
    uint64_t posts_done;
    uint64_t get_number; /* the latest */
    bool get_waiting;
    int64_t get_until;
    uint64_t answer_serial;
};

struct counts {
    uint64_t runs, steps, cuts, dials, resumes, refusals, reopened, farewells;
    uint64_t replays, forgeries, duplicates, moves, deaths, http_links;
    uint64_t bytes, resent, virtual_ms;
    int64_t slowest_ms; /* from the network's recovery until all had arrived */
};

struct captured {
    uint8_t bytes[TUNNEL_CONTROL_MAX];
    size_t len;
};

enum { CAPTURED_MAX = 8, LINKS_MAX = 6 };

struct world {
    struct random random;
    int64_t now;
    bool healed; /* the network does its best from here on */
    bool http;   /* links may be HTTP */
    struct budget client_budget;
    struct budget server_budget;
    struct endpoint_settings client_settings;
    struct endpoint_settings server_settings;
    struct party client;
    bool client_confirmed; /* it was up at least once */
    int64_t dial_at;
    struct registry *registry;
    struct session *sessions;
    uint64_t server_length;
    struct link *links;
    size_t link_count;
    struct captured captured[CAPTURED_MAX];
    size_t captured_count;
    struct counts *counts;
    char failure[256]; /* empty: none yet */
};

/* The first failure of a run is kept. */
void world_fail(struct world *world, const char *reason);

/* Byte number `offset` of a side's stream. */
uint8_t stream_byte(enum side side, uint64_t offset);

/* party.c: sources and sinks, and what must hold at any time. */
void party_produce(struct party *party);
void party_take_fresh(struct party *party);
void party_consume(struct party *party);
void party_check(struct party *party);

/* How much of a message is delivered now: a piece, or all that is left. */
size_t link_piece(struct world *world, const struct message *message);
/* How long a message is under way. */
int64_t link_delay(struct world *world);
struct link *link_new(struct world *world, enum link_kind kind);
void link_close_client(struct world *world, struct link *link);
void link_close_server(struct world *world, struct link *link);

/* client.c */
void client_dial(struct world *world);
void client_send(struct world *world, struct link *link);
bool client_receive(struct world *world, struct link *link);
void client_timer(struct world *world);
int64_t client_next(const struct world *world);
void client_event(struct world *world, struct link *link, enum endpoint_event event,
                  const struct tunnel_frame *frame);
/* Whatever bytes came on `link`, as frames to the endpoint. */
void client_decode(struct world *world, struct link *link, struct bytes in, bool last);

/* server.c */
void server_send(struct world *world, struct link *link);
bool server_receive(struct world *world, struct link *link);
void server_timer(struct world *world, struct session *session);
void server_decode(struct world *world, struct link *link, struct bytes in, bool last);
void server_refuse(struct world *world, struct link *link, const struct tunnel_frame *frame);
/* The session that has the client's id now, or NULL. */
struct session *server_session(const struct world *world);
void server_free(struct world *world);

/* http.c: requests and answers in place of messages. */
void http_client_begin(struct world *world, struct link *link);
void http_client_send(struct world *world, struct link *link);
void http_client_receive(struct world *world, struct link *link, struct message *message);
int64_t http_client_next(const struct link *link);
void http_server_receive(struct world *world, struct link *link, struct message *message);
void http_server_send(struct world *world, struct link *link);
int64_t http_server_next(const struct link *link);

/* One run; whether all went well. If not, it is described on stdout. */
bool simulation_run(uint64_t seed, struct counts *counts);

#endif
