/* The path to the service, and the order of all that is looked at. */
#include "client/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/check_state.h"
#include "common/memory.h"

/* ---- lines -------------------------------------------------------------------------------------
 */

void check_pass(struct check *check, const char *name, int64_t microseconds, const char *detail)
{
    report_add(check->report, &(struct report_line){.name = name,
                                                    .verdict = REPORT_PASSED,
                                                    .microseconds = microseconds,
                                                    .detail = detail,
                                                    .fix = ""});
}

void check_note(struct check *check, const char *name, const char *detail, const char *fix)
{
    report_add(check->report, &(struct report_line){.name = name,
                                                    .verdict = REPORT_NOTED,
                                                    .microseconds = -1,
                                                    .detail = detail,
                                                    .fix = fix});
}

void check_fail(struct check *check, const char *name, int64_t microseconds,
                const struct error *error, enum status status)
{
    if (check->status == STATUS_OK)
        check->status = status;
    report_add(check->report, &(struct report_line){.name = name,
                                                    .verdict = REPORT_FAILED,
                                                    .microseconds = microseconds,
                                                    .detail = error->message,
                                                    .fix = error->hint});
}

/* ---- settings ----------------------------------------------------------------------------------
 */

static const char *source_of(const char *name)
{
    return options_source(&check_option_table, name);
}

static void tell_settings(struct check *check)
{
    const struct client_settings *settings = check->settings;
    const struct credentials *credentials = &check->service.credentials;
    char *service = url_display(&settings->service);
    char *detail = mem_format("%s (%s)", service, source_of("service"));

    check_pass(check, "service", -1, detail);
    free(detail);
    free(service);
    check_note(check, "credential", credentials->origin != NULL ? credentials->origin : "none", "");
    if (credentials->names != NULL) {
        detail = mem_format("%s (%s)", credentials->names, source_of("header-file"));
        check_note(check, "headers", detail, "");
        free(detail);
    }
    if (settings->ca_file != NULL) {
        detail = mem_format("the system's authorities, and %s", settings->ca_file);
        check_note(check, "trust", detail, "");
        free(detail);
    }
}

/* ---- the path ----------------------------------------------------------------------------------
 */

/* In the order of enum hop. */
static const char *const hop_names[] = {"name", "TCP", "proxy", "TLS", "upgrade"};

static void on_hop(void *owner, const struct hop_report *hop)
{
    struct check *check = owner;
    const char *name = hop_names[hop->hop];
    struct error error;

    if (!check->walking)
        return;
    if (hop->error == NULL) {
        check_pass(check, name, hop->microseconds, hop->detail);
        return;
    }
    error_set(&error, STATUS_UNAVAILABLE, hop->error->sqlstate, "%s", hop->error->message);
    if (hop->hop == HOP_UPGRADE && hop->detail[0] != '\0')
        error_set(&error, STATUS_UNAVAILABLE, hop->error->sqlstate, "%s [%s]", hop->error->message,
                  hop->detail);
    error_hint(&error, "%s", hop->error->hint);
    if (hop->hop == HOP_UPGRADE) {
        check->upgrade = (struct check_upgrade){.failed = true,
                                                .status = STATUS_UNAVAILABLE,
                                                .microseconds = hop->microseconds,
                                                .error = error};
        return; /* the tunnel may do without */
    }
    check_fail(check, name, hop->microseconds, &error, STATUS_UNAVAILABLE);
}

bool check_session_failed(struct check *check)
{
    const struct check_upgrade *upgrade = &check->upgrade;

    if (!upgrade->failed)
        return false;
    check->upgrade.failed = false;
    check_fail(check, hop_names[HOP_UPGRADE], upgrade->microseconds, &upgrade->error,
               upgrade->status);
    return true;
}

void check_session_up(struct check *check)
{
    if (!check->upgrade.failed)
        return;
    check->upgrade.failed = false;
    report_add(check->report,
               &(struct report_line){
                   .name = hop_names[HOP_UPGRADE],
                   .verdict = REPORT_WORKED,
                   .microseconds = check->upgrade.microseconds,
                   .detail = check->upgrade.error.message,
                   .fix = check_uses_http(check)
                              ? "HTTP requests take its place; WebSockets would be faster."
                              : "Another attempt got through.",
               });
}

bool check_uses_http(const struct check *check)
{
    return choice_is_http(&check->service.shared.choice, loop_elapsed(check->loop));
}

/* The tunnel uses HTTP requests then. */
static bool may_do_without(const struct check *check, const struct connect_result *result)
{
    return check->service.type == &tunnel_v1 &&
           check->settings->transport == CLIENT_TRANSPORT_AUTO && (result->blocked || result->cut);
}

static void on_connected(void *owner, const struct connect_result *result)
{
    struct check *check = owner;

    check->connecting = NULL;
    check->upgrade.status = result->status;
    if (result->status == STATUS_OK) {
        transport_close(&check->transport, check->loop);
    } else if (!check->upgrade.failed || !may_do_without(check, result)) {
        (void)check_session_failed(check);
        check->status = result->status;
    }
    loop_stop(check->loop);
}

static void walk(struct check *check)
{
    static const char session[] = "0000000000000000"; /* nobody's: for balancers */
    const struct connect_request request = {
        .plain = check_uses_http(check),
        .offer = check->settings->protocol != CLIENT_PROTOCOL_RAW,
        .may_retract = check->settings->protocol == CLIENT_PROTOCOL_AUTO,
        .session = session,
    };

    check->walking = true;
    transport_init(&check->transport);
    check->connecting =
        connect_open(check->service.connector, &request, &check->transport, on_connected, check);
    loop_run(check->loop);
    if (check->connecting != NULL)
        connect_cancel(check->connecting);
    check->connecting = NULL;
    check->walking = false;
}

/* ---- all of it ---------------------------------------------------------------------------------
 */

static void on_signal(void *owner, int signal_number)
{
    struct check *check = owner;

    check->signal = signal_number;
    loop_stop(check->loop);
}

static int exit_code(const struct check *check)
{
    if (check->signal != 0)
        return 128 + check->signal;
    switch (check->status) {
    case STATUS_OK:
        return 0;
    case STATUS_USAGE:
        return EXIT_USAGE;
    case STATUS_DENIED:
        return EXIT_NOT_AUTHORISED;
    default:
        return EXIT_UNREACHABLE;
    }
}

static void run_hops(struct check *check)
{
    struct error error;
    bool started =
        service_start(&check->service, check->loop, check->settings, &check->observer, &error);

    tell_settings(check);
    if (!started) {
        check_fail(check, "settings", -1, &error, STATUS_USAGE);
        return;
    }
    walk(check);
    if (check->status == STATUS_OK && check->signal == 0)
        check_session(check);
    if (check->status == STATUS_OK && check->signal == 0 && check->settings->idle > 0)
        check_idle(check);
}

int check_run(const struct client_settings *settings)
{
    struct check check = {
        .settings = settings,
        .loop = loop_new(),
        .report = report_new(settings->output == CLIENT_OUTPUT_JSON),
    };
    char *service = url_display(&settings->service);
    int code;

    check.observer = (struct hop_observer){.on_hop = on_hop, .owner = &check};
    loop_on_signals(check.loop, on_signal, &check);
    run_hops(&check);
    report_finish(check.report, service, check.status);
    code = exit_code(&check);
    service_stop(&check.service);
    report_free(check.report);
    loop_free(check.loop);
    free(service);
    return code;
}
