/* Name resolution in a thread. The thread shares `struct lookup` with the loop; whoever lets go of
 * it last frees it, so that a lookup that hangs can be left behind. */
#include "client/resolve.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/memory.h"

struct lookup {
    char *host;
    char port[8];
    int code;
    struct addrinfo *list;
    int bell; /* the end that the thread rings by closing it */
    atomic_int holders;
};

struct resolution {
    struct lookup *lookup;
    struct loop *loop;
    struct loop_watch watch;
    resolve_done *done;
    void *owner;
};

static void let_go(struct lookup *lookup)
{
    if (atomic_fetch_sub(&lookup->holders, 1) > 1)
        return;
    if (lookup->list != NULL)
        freeaddrinfo(lookup->list);
    free(lookup->host);
    free(lookup);
}

static void *look_up(void *argument)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct lookup *lookup = argument;
    int bell = lookup->bell;

    lookup->code = getaddrinfo(lookup->host, lookup->port, &hints, &lookup->list);
    if (lookup->code != 0)
        lookup->list = NULL;
    let_go(lookup);
    close(bell); /* after the last use of what the loop reads then */
    return NULL;
}

static void on_bell(struct loop_watch *watch, unsigned events)
{
    struct resolution *resolution = watch->owner;
    struct lookup *lookup = resolution->lookup;
    struct addrinfo *list = lookup->list;
    resolve_done *done = resolution->done;
    void *owner = resolution->owner;
    const char *reason = lookup->code == 0 ? NULL : gai_strerror(lookup->code);

    (void)events;
    lookup->list = NULL;
    resolve_cancel(resolution);
    done(owner, list, reason);
}

static bool start_thread(struct lookup *lookup)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, look_up, lookup) != 0)
        return false;
    pthread_detach(thread);
    return true;
}

struct resolution *resolve_open(struct loop *loop, const char *host, unsigned port,
                                resolve_done *done, void *owner)
{
    struct resolution *resolution = mem_new(sizeof *resolution);
    struct lookup *lookup = mem_new(sizeof *lookup);
    int ends[2];

    *resolution = (struct resolution){
        .lookup = lookup, .loop = loop, .done = done, .owner = owner, .watch = {.fd = -1}};
    lookup->host = mem_copy_string(host);
    snprintf(lookup->port, sizeof lookup->port, "%u", port);
    atomic_init(&lookup->holders, 1);
    if (pipe(ends) != 0)
        goto fail;
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    lookup->bell = ends[1];
    resolution->watch =
        (struct loop_watch){.fd = ends[0], .on_ready = on_bell, .owner = resolution};
    atomic_store(&lookup->holders, 2);
    if (!start_thread(lookup)) {
        atomic_store(&lookup->holders, 1);
        close(ends[1]);
        goto fail;
    }
    loop_watch_set(loop, &resolution->watch, LOOP_READ);
    return resolution;
fail:
    resolve_cancel(resolution);
    return NULL;
}

void resolve_cancel(struct resolution *resolution)
{
    loop_watch_close(resolution->loop, &resolution->watch);
    let_go(resolution->lookup);
    free(resolution);
}
