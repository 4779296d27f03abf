/* Runs schedules until a number or a time is reached; prints the seed of the first that fails. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "tests/simulation/world.h"

static void usage(FILE *out)
{
    fputs(
        "Usage: tunnel_simulation [--seed N] [--runs N] [--seconds N]\n"
        "\n"
        "Random schedules of loss, delay, truncation, re-attachment and replay against both ends\n"
        "of electric-tunnel.v1. Run number i has the seed N + i; one run is repeated by\n"
        "--seed SEED --runs 1.\n"
        "\n"
        "  --seed N      the first run's (default: a random one, which is printed)\n"
        "  --runs N      how many (default: as many as the time allows)\n"
        "  --seconds N   for how long (default: 5; 0: as long as the runs take)\n",
        out);
}

static uint64_t number(const char *text)
{
    char *end;

    errno = 0;
    uint64_t value = strtoull(text, &end, 0);
    if (errno != 0 || *text == '\0' || *end != '\0') {
        fprintf(stderr, "not a number: \"%s\"\n", text);
        exit(2);
    }
    return value;
}

static double default_seconds(void)
{
    const char *text = getenv("SIMULATION_SECONDS");

    return text == NULL ? 5 : (double)number(text);
}

static double seconds_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void print_counts(const struct counts *counts, double seconds)
{
    printf("%" PRIu64 " runs, %" PRIu64 " steps, %.1f s, %.0f h of virtual time\n", counts->runs,
           counts->steps, seconds, (double)counts->virtual_ms / 3.6e6);
    printf("%" PRIu64 " bytes delivered, %" PRIu64 " resent; all arrived within %" PRId64
           " s of the network's recovery\n",
           counts->bytes, counts->resent, counts->slowest_ms / 1000);
    printf("%" PRIu64 " attachments (%" PRIu64 " by HTTP), %" PRIu64 " cuts, %" PRIu64
           " dead by silence, %" PRIu64 " resumed, %" PRIu64 " moved\n",
           counts->dials, counts->http_links, counts->cuts, counts->deaths, counts->resumes,
           counts->moves);
    printf("%" PRIu64 " replayed, %" PRIu64 " forged, %" PRIu64 " repeated requests, %" PRIu64
           " refusals, %" PRIu64 " opened anew, %" PRIu64 " told by a tombstone\n",
           counts->replays, counts->forgeries, counts->duplicates, counts->refusals,
           counts->reopened, counts->farewells);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", required_argument, NULL, 's'},
        {"runs", required_argument, NULL, 'r'},
        {"seconds", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    uint64_t seed = 0;
    uint64_t runs = UINT64_MAX;
    double limit = -1;
    struct counts counts = {0};

    if (getrandom(&seed, sizeof(uint32_t), 0) < 0)
        seed = (uint64_t)time(NULL);
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 's')
            seed = number(optarg);
        else if (option == 'r')
            runs = number(optarg);
        else if (option == 't')
            limit = (double)number(optarg);
        else {
            usage(option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (limit < 0 && runs != UINT64_MAX)
        limit = 0;
    if (limit < 0)
        limit = default_seconds();

    double began = seconds_now();
    printf("seed %" PRIu64 "\n", seed);
    for (uint64_t i = 0; i < runs && (limit <= 0 || seconds_now() - began < limit); i++) {
        if (!simulation_run(seed + i, &counts)) {
            printf("repeat it by --seed %" PRIu64 " --runs 1\n", seed + i);
            return EXIT_FAILURE;
        }
    }
    print_counts(&counts, seconds_now() - began);
    return EXIT_SUCCESS;
}
