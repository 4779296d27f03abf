/* What the service manager that started us is told. */
#include "server/supervisor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/ready.h"

static void notify(const char *first, const char *status)
{
    char text[256];

    (void)snprintf(text, sizeof(text), "%sSTATUS=%s", first, status);
    ready_notify(text);
}

void supervisor_ready(const char *status)
{
    notify("READY=1\n", status);
}

void supervisor_status(const char *status)
{
    notify("", status);
}

void supervisor_reloading(void)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
                   loop_now_ms() * 1000);
    ready_notify(text);
}

void supervisor_stopping(void)
{
    notify("STOPPING=1\n", "finishing what is open");
}

static void on_watchdog(struct loop_timer *timer)
{
    struct supervisor *supervisor = lws_container_of(timer, struct supervisor, watchdog);

    ready_notify("WATCHDOG=1");
    loop_timer_set(supervisor->loop, timer, supervisor->interval_ms);
}

/* Half of what the manager waits for, as it asks. */
static unsigned long interval_ms(void)
{
    const char *wait_us = getenv("WATCHDOG_USEC");
    const char *pid = getenv("WATCHDOG_PID");

    if (wait_us == NULL || (pid != NULL && strtoul(pid, NULL, 10) != (unsigned long)getpid()))
        return 0;
    return strtoul(wait_us, NULL, 10) / 2000;
}

void supervisor_start(struct supervisor *supervisor, struct loop *loop)
{
    supervisor->loop = loop;
    supervisor->watchdog.on_expired = on_watchdog;
    supervisor->interval_ms = interval_ms();
    if (supervisor->interval_ms > 0)
        loop_timer_set(loop, &supervisor->watchdog, supervisor->interval_ms);
}

void supervisor_stop(struct supervisor *supervisor)
{
    loop_timer_stop(&supervisor->watchdog);
}
