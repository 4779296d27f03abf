/* Listens, waits until Postgres answers, runs a command, and ends with its exit code. */
#include "client/exec.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/await.h"
#include "client/child.h"
#include "client/command_environment.h"
#include "client/database_url.h"
#include "client/gateway.h"
#include "client/listener.h"
#include "client/private_directory.h"
#include "common/log.h"
#include "common/memory.h"

/* For sessions that go on when the command has ended: their last words, or processes it left. */
#define DRAIN 5000

extern char **environ;

struct exec {
    const struct client_settings *settings;
    struct loop *loop;
    struct gateway *gateway;
    struct listener *port;
    struct listener *socket; /* NULL: there is no place for one */
    char *directory;         /* of the socket */
    struct database_identity identity;
    struct await *await;
    fd_set inherited;
    pid_t child; /* 0: not yet, or no more */
    struct loop_timer drain;
    int code; /* what we end with */
};

/* ---- ends --------------------------------------------------------------------------------------
 */

static void end(struct exec *exec, int code)
{
    exec->code = code;
    loop_stop(exec->loop);
}

/* In one line, the last one that we write. */
static void complain(const struct error *error)
{
    if (error->hint[0] != '\0')
        fprintf(stderr, "electric-tunnel: %s. %s\n", error->message, error->hint);
    else
        fprintf(stderr, "electric-tunnel: %s\n", error->message);
}

static void fail(struct exec *exec, int code, const struct error *error)
{
    complain(error);
    end(exec, code);
}

static void on_drained(void *owner)
{
    struct exec *exec = owner;

    loop_stop(exec->loop);
}

static void on_drain_over(struct loop_timer *timer)
{
    struct exec *exec = timer->owner;

    log_warn(NULL, "ending sessions that go on %d s after the command", DRAIN / 1000);
    loop_stop(exec->loop);
}

/* What the command said last may still be on its way. */
static void drain(struct exec *exec)
{
    listener_close(exec->port);
    listener_close(exec->socket);
    exec->port = exec->socket = NULL;
    if (gateway_is_empty(exec->gateway)) {
        loop_stop(exec->loop);
        return;
    }
    gateway_when_empty(exec->gateway, on_drained, exec);
    loop_timer_set(exec->loop, &exec->drain, DRAIN);
}

/* ---- signals -----------------------------------------------------------------------------------
 */

static const int watched_signals[] = {SIGCHLD, SIGINT,   SIGTERM, SIGHUP,  SIGQUIT, SIGUSR1,
                                      SIGUSR2, SIGWINCH, SIGTSTP, SIGCONT, 0};

/* The terminal gives its signals to all processes in its foreground, so the command has them
 * already; but a hang-up may be for the first process of a session only. */
static void pass_on(struct exec *exec, int number, bool from_terminal)
{
    if (!from_terminal || number == SIGHUP)
        kill(exec->child, number);
    if (number == SIGTSTP)
        raise(SIGSTOP); /* like the command; SIGCONT wakes both */
}

static void stop_early(struct exec *exec, int number)
{
    struct error error;

    /* Without a command to pass them on to, these have no meaning. */
    if (number == SIGWINCH || number == SIGCONT || number == SIGTSTP || number == SIGCHLD)
        return;
    error_set(&error, STATUS_CLOSED, "57P01", "stopped by signal %d before the command was run",
              number);
    fail(exec, 128 + number, &error);
}

static void on_signal(void *owner, int number, bool from_terminal)
{
    struct exec *exec = owner;
    bool draining = exec->drain.position != 0;

    if (number == SIGCHLD) {
        if (exec->child != 0 && child_reap(exec->child, &exec->code)) {
            exec->child = 0;
            drain(exec);
        }
    } else if (exec->child != 0) {
        pass_on(exec, number, from_terminal);
    } else if (!draining) {
        stop_early(exec, number);
    } else if (number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGQUIT) {
        loop_stop(exec->loop);
    }
}

/* ---- the command -------------------------------------------------------------------------------
 */

/* Where the tunnel is, for connection strings. */
static struct tunnel_place find_place(const struct exec *exec)
{
    return (struct tunnel_place){
        .host = listener_host(exec->port),
        .port = listener_port(exec->port),
        .directory = exec->socket != NULL ? exec->directory : NULL,
    };
}

/* DATABASE_URL for the command; the caller frees. NULL: there is none. */
static char *make_database_url(const struct exec *exec, const struct tunnel_place *place)
{
    const char *given = exec->settings->database_url;
    char *url;

    if (given == NULL)
        return NULL;
    url = database_url_redirect(given, place->host, place->port);
    if (url != NULL)
        return url;
    log_warn(NULL,
             "DATABASE_URL is no connection string of Postgres that is known here, so it stays as "
             "it is and leads around the tunnel, which is at %s:%u (PGHOST, PGPORT)",
             place->host, place->port);
    return mem_copy_string(given);
}

static void run_command(struct exec *exec)
{
    struct tunnel_place place = find_place(exec);
    char *url = make_database_url(exec, &place);
    struct child_program program = {
        .argv = exec->settings->command,
        .environment = command_environment_new(environ, url, &place),
        .inherited = &exec->inherited,
    };
    struct error error;
    int code = 0;
    pid_t child = child_start(exec->loop, &program, &code, &error);

    command_environment_free(program.environment);
    if (url != NULL)
        mem_free_secret(url, strlen(url));
    if (child < 0)
        fail(exec, code, &error);
    else
        exec->child = child;
}

static void on_ready(void *owner, const struct error *error)
{
    struct exec *exec = owner;

    if (error == NULL)
        run_command(exec);
    else
        fail(exec, error->status == STATUS_DENIED ? EXIT_NOT_AUTHORISED : EXIT_UNREACHABLE, error);
}

static void await_postgres(struct exec *exec)
{
    struct await_settings settings = {
        .gateway = exec->gateway,
        .loop = exec->loop,
        .timeout = exec->settings->ready_timeout,
    };

    exec->identity = database_identity_known(exec->settings->database_url);
    settings.user = exec->identity.user;
    settings.database = exec->identity.database;
    exec->await = await_new(&settings, on_ready, exec);
}

/* ---- all of it ---------------------------------------------------------------------------------
 */

/* The port is what every tool can use. The socket is another way in, so we do without it where no
 * file can be made. Its name has the port's number, which makes PGPORT right for both. */
static int listen_locally(struct exec *exec, struct error *error)
{
    exec->port = listener_open(exec->loop, NULL, exec->settings->local_port, gateway_accept,
                               exec->gateway, error);
    if (exec->port == NULL)
        return EXIT_CANNOT_LISTEN;
    exec->directory = private_directory_make(error);
    if (exec->directory != NULL)
        exec->socket = listener_open(exec->loop, exec->directory, listener_port(exec->port),
                                     gateway_accept, exec->gateway, error);
    if (exec->socket == NULL)
        log_info(NULL, "there is no unix socket: %s", error->message);
    return 0;
}

static int start(struct exec *exec, struct error *error)
{
    int code;

    exec->gateway = gateway_new(exec->settings, exec->loop, error);
    if (exec->gateway == NULL)
        return EXIT_USAGE;
    code = listen_locally(exec, error);
    if (code == 0)
        await_postgres(exec);
    return code;
}

static void clear(struct exec *exec)
{
    loop_timer_stop(exec->loop, &exec->drain);
    await_free(exec->await);
    listener_close(exec->port);
    listener_close(exec->socket);
    private_directory_remove(exec->directory);
    gateway_free(exec->gateway);
    loop_free(exec->loop);
    database_identity_clear(&exec->identity);
}

int exec_run(const struct client_settings *settings)
{
    struct exec exec = {.settings = settings};
    struct error error = {.message = ""};

    child_note_descriptors(&exec.inherited);
    exec.loop = loop_new();
    exec.drain = (struct loop_timer){.on_time = on_drain_over, .owner = &exec};
    loop_on_each_signal(exec.loop, watched_signals, on_signal, &exec);
    exec.code = start(&exec, &error);
    if (exec.code == 0)
        loop_run(exec.loop);
    else
        complain(&error);
    clear(&exec);
    return exec.code;
}
