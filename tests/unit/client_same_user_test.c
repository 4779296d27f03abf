/* client/same_user.c, with the kernel's answers and with those of /proc. */
#include "client/same_user.h"
#include "tests/support/suite.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

/* From now on this process, which has but one test to run, gets no netlink socket. */
static void forbid_netlink(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};

    ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0), 0);
    ck_assert_int_eq(socket(AF_NETLINK, SOCK_DGRAM, 0), -1);
}

/* By which table of sockets the peer's is found: both ends of IPv4, both of IPv6, or a socket of
 * IPv6 that speaks IPv4. */
enum { V4, V6, MAPPED, KINDS };

static int listen_on(int kind, struct sockaddr_storage *address, socklen_t *len)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(kind == V6 ? AF_INET6 : AF_INET, SOCK_STREAM, 0);

    *len = kind == V6 ? sizeof v6 : sizeof v4;
    memset(address, 0, sizeof *address);
    if (kind == V6)
        memcpy(address, &v6, sizeof v6);
    else
        memcpy(address, &v4, sizeof v4);
    if (bind(fd, (struct sockaddr *)address, *len) != 0 || listen(fd, 5) != 0) {
        close(fd);
        return -1; /* no such family here */
    }
    getsockname(fd, (struct sockaddr *)address, len);
    return fd;
}

static int connect_to(int kind, const struct sockaddr_storage *address, socklen_t len)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = v4->sin_port};
    int fd = socket(kind == V4 ? AF_INET : AF_INET6, SOCK_STREAM, 0);

    mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&mapped.sin6_addr.s6_addr[12], &v4->sin_addr, 4);
    ck_assert_int_eq(kind == MAPPED ? connect(fd, (struct sockaddr *)&mapped, sizeof mapped)
                                    : connect(fd, (const struct sockaddr *)address, len),
                     0);
    return fd;
}

/* `_i` chooses the kind, and whether netlink is there. */
static int open_listener(int number, struct sockaddr_storage *address, socklen_t *len)
{
    int listener = listen_on(number % KINDS, address, len);

    if (number >= KINDS)
        forbid_netlink();
    return listener;
}

START_TEST(a_connection_of_our_own_is_let_in)
{
    struct sockaddr_storage address;
    socklen_t len;
    struct error error = {.message = ""};
    int listener = open_listener(_i, &address, &len);
    int peer;
    int accepted;

    if (listener < 0)
        return;
    peer = connect_to(_i % KINDS, &address, len);
    accepted = accept(listener, NULL, NULL);
    ck_assert_msg(same_user_check(accepted, &error), "%s", error.message);
    /* Nobody has it any more. */
    close(peer);
    ck_assert(!same_user_check(accepted, &error));
    ck_assert_str_eq(error.sqlstate, "28000");
    close(accepted);
    close(listener);
}
END_TEST

START_TEST(a_connection_of_another_user_is_refused)
{
    struct sockaddr_storage address;
    socklen_t len;
    struct error error;
    int listener;
    int accepted;
    pid_t child;

    if (geteuid() != 0)
        return; /* only root can be another user as well */
    listener = open_listener(_i, &address, &len);
    if (listener < 0)
        return;
    child = fork();
    if (child == 0) {
        int fd;

        if (setuid(NOBODY) != 0)
            _exit(1);
        fd = connect_to(_i % KINDS, &address, len);
        alarm(60);
        pause();
        close(fd);
        _exit(0);
    }
    accepted = accept(listener, NULL, NULL);
    ck_assert(!same_user_check(accepted, &error));
    ck_assert_str_eq(error.sqlstate, "28000");
    ck_assert_ptr_nonnull(strstr(error.message, "65534"));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(accepted);
    close(listener);
}
END_TEST

START_TEST(a_unix_socket_knows_its_peer)
{
    struct error error;
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    ck_assert(same_user_check(pair[0], &error));
    close(pair[0]);
    close(pair[1]);
}
END_TEST

START_TEST(what_is_no_connection_is_refused)
{
    struct error error;

    ck_assert(!same_user_check(-1, &error));
    ck_assert_ptr_nonnull(strstr(error.hint, "unix socket"));
}
END_TEST

SUITE("client_same_user", LOOP(a_connection_of_our_own_is_let_in, 0, 2 * KINDS),
      LOOP(a_connection_of_another_user_is_refused, 0, 2 * KINDS),
      TEST(a_unix_socket_knows_its_peer), TEST(what_is_no_connection_is_refused))
