/* The inside of a WebSocket, shared by websocket.c (the stream) and watchdog.c (dead peers). */
#ifndef SERVER_WEBSOCKET_STATE_H
#define SERVER_WEBSOCKET_STATE_H

#include "common/buffer.h"
#include "common/frame.h"
#include "server/loop.h"
#include "server/transport.h"
#include "server/websocket.h"

struct websocket {
    struct stream stream;
    struct loop_watch watch;
    struct transport transport;
    struct loop *loop;
    struct websocket_watchdog *watchdog;
    struct websocket *next, *previous; /* the watchdog's list */
    struct loop_timer gone;            /* the loop's next turn, which reports it */
    void (*on_gone)(void *context);
    void *context;
    struct frame_decoder decoder;
    websocket_piece *on_piece; /* NULL: boundaries of messages mean nothing */
    struct buffer queue;       /* frames, the first perhaps half sent */
    const char *reason;        /* of the end, a literal */
    char *end_reason;          /* what our Close says */
    enum stream_end end;
    uint8_t pong[FRAME_CONTROL_MAX];
    uint8_t pong_len;
    unsigned char silent_s; /* since the last byte from the peer, or since our Close */
    bool heard;             /* since the last tick */
    bool no_pings;
    bool pong_owed; /* for a ping that came while output was blocked */
    bool pending;   /* the SSL holds bytes that no poll shows */
    bool closed;    /* by the owner */
    bool paused;
    bool finishing;  /* Close follows once the queue is sent */
    bool close_sent; /* or queued */
    bool close_received;
    bool refused; /* the peer broke the protocol: its bytes are thrown away */
    bool above_high;
    bool deaf;   /* the peer takes no more; what it said before is still read */
    bool failed; /* to be reported, and freed */
};

/* Closes the connection without further words; reported as on_closed() from the loop. */
void websocket_hang_up(struct websocket *websocket, const char *reason);
/* Sends one frame, or queues what the kernel does not take. */
void websocket_write_frame(struct websocket *websocket, enum frame_opcode opcode,
                           struct bytes payload);

void websocket_link(struct websocket_watchdog *watchdog, struct websocket *websocket);
void websocket_unlink(struct websocket *websocket);

#endif
