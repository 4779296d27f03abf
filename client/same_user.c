/* The user behind a local connection. All of this is Linux's: SO_PEERCRED (unix(7)), sock_diag(7),
 * and /proc/net/tcp where a container or sandbox has no NETLINK_SOCK_DIAG. */
#include "client/same_user.h"

#include <inttypes.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of /proc/net/tcp; each connection of the machine is a line of 150 characters. */
#define TABLE_LINES_MAX 100000

/* Both ends of a TCP connection, from the peer's point of view. */
struct ends {
    int family;
    struct sockaddr_storage peer;
    struct sockaddr_storage ours;
};

/* ---- sock_diag ---------------------------------------------------------------------------------
 */

struct question {
    struct nlmsghdr header;
    struct inet_diag_req_v2 request;
};

static void put_address(const struct sockaddr_storage *from, __be32 address[4], __be16 *port)
{
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;

        memcpy(address, &v4->sin_addr, sizeof v4->sin_addr);
        *port = v4->sin_port;
    } else {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;

        memcpy(address, &v6->sin6_addr, sizeof v6->sin6_addr);
        *port = v6->sin6_port;
    }
}

static void make_question(const struct ends *ends, struct question *question)
{
    struct inet_diag_sockid *id = &question->request.id;

    memset(question, 0, sizeof *question);
    question->header.nlmsg_len = sizeof *question;
    question->header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    question->header.nlmsg_flags = NLM_F_REQUEST; /* exactly one socket */
    question->request.sdiag_family = (__u8)ends->family;
    question->request.sdiag_protocol = IPPROTO_TCP;
    question->request.idiag_states = ~0u;
    put_address(&ends->peer, id->idiag_src, &id->idiag_sport);
    put_address(&ends->ours, id->idiag_dst, &id->idiag_dport);
    id->idiag_cookie[0] = INET_DIAG_NOCOOKIE;
    id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
}

/* A socket that its process has closed already has no inode, and the kernel calls it root's. */
static bool read_answer(const void *data, size_t len, uid_t *user)
{
    const struct nlmsghdr *header = data;
    const struct inet_diag_msg *found;

    if (len < NLMSG_LENGTH(sizeof *found) || header->nlmsg_type != SOCK_DIAG_BY_FAMILY)
        return false;
    found = NLMSG_DATA(header);
    if (found->idiag_inode == 0)
        return false;
    *user = found->idiag_uid;
    return true;
}

/* The kernel answers within the call that asks, so there is nothing to wait for. */
static bool ask_kernel(const struct ends *ends, uid_t *user)
{
    union {
        struct nlmsghdr header; /* for its alignment */
        char bytes[1024];
    } answer;
    struct question question;
    ssize_t len = -1;
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);

    if (fd < 0)
        return false;
    make_question(ends, &question);
    if (send(fd, &question, sizeof question, 0) == (ssize_t)sizeof question)
        len = recv(fd, &answer, sizeof answer, 0);
    close(fd);
    return len > 0 && read_answer(&answer, (size_t)len, user);
}

/* ---- /proc/net/tcp -----------------------------------------------------------------------------
 */

/* "0100007F:1F90": the address in words of this machine's byte order, the port as a number. */
static void write_end(const struct sockaddr_storage *from, bool mapped, char *out, size_t size)
{
    uint32_t words[4] = {0};
    uint16_t port;

    put_address(from, words, &port);
    port = ntohs(port);
    if (from->ss_family == AF_INET6)
        snprintf(out, size, "%08" PRIX32 "%08" PRIX32 "%08" PRIX32 "%08" PRIX32 ":%04X", words[0],
                 words[1], words[2], words[3], (unsigned)port);
    else if (mapped) /* ::ffff:127.0.0.1 */
        snprintf(out, size, "0000000000000000%08" PRIX32 "%08" PRIX32 ":%04X", htonl(0xffff),
                 words[0], (unsigned)port);
    else
        snprintf(out, size, "%08" PRIX32 ":%04X", words[0], (unsigned)port);
}

enum { FIELD_LOCAL = 1, FIELD_REMOTE = 2, FIELD_USER = 7, FIELD_INODE = 9, FIELDS };

/* sl local remote st tx:rx tr:when retrnsmt uid timeout inode …; whether it is about this peer, and
 * still has a process. */
static bool read_line(char *line, const char *peer, const char *ours, uid_t *user)
{
    char *fields[FIELDS];
    char *rest = line;

    for (int i = 0; i < FIELDS; i++) {
        rest += strspn(rest, " ");
        fields[i] = strsep(&rest, " \n");
        if (rest == NULL)
            return false;
    }
    if (strcmp(fields[FIELD_LOCAL], peer) != 0 || strcmp(fields[FIELD_REMOTE], ours) != 0 ||
        strcmp(fields[FIELD_INODE], "0") == 0)
        return false;
    *user = (uid_t)strtoul(fields[FIELD_USER], NULL, 10);
    return true;
}

static bool search_table(const char *path, const char *peer, const char *ours, uid_t *user)
{
    char line[512];
    bool found = false;
    FILE *table = fopen(path, "re");

    if (table == NULL)
        return false;
    for (int i = 0; i < TABLE_LINES_MAX && !found && fgets(line, sizeof line, table) != NULL; i++)
        found = read_line(line, peer, ours, user);
    fclose(table);
    return found;
}

/* A socket of IPv6 may speak IPv4, as those of Java do; it stands in the table of IPv6. */
static bool read_tables(const struct ends *ends, uid_t *user)
{
    char peer[48];
    char ours[48];

    if (ends->family == AF_INET) {
        write_end(&ends->peer, false, peer, sizeof peer);
        write_end(&ends->ours, false, ours, sizeof ours);
        if (search_table("/proc/net/tcp", peer, ours, user))
            return true;
    }
    write_end(&ends->peer, true, peer, sizeof peer);
    write_end(&ends->ours, true, ours, sizeof ours);
    return search_table("/proc/net/tcp6", peer, ours, user);
}

/* ---- both --------------------------------------------------------------------------------------
 */

static bool find_unix_user(int fd, uid_t *user)
{
    struct ucred peer;
    socklen_t len = sizeof peer;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return false;
    *user = peer.uid;
    return true;
}

static bool find_user(int fd, uid_t *user)
{
    struct ends ends;
    socklen_t peer_len = sizeof ends.peer;
    socklen_t our_len = sizeof ends.ours;

    memset(&ends, 0, sizeof ends);
    if (getsockname(fd, (struct sockaddr *)&ends.ours, &our_len) != 0)
        return false;
    if (ends.ours.ss_family == AF_UNIX)
        return find_unix_user(fd, user);
    if (getpeername(fd, (struct sockaddr *)&ends.peer, &peer_len) != 0)
        return false;
    ends.family = ends.ours.ss_family;
    return ask_kernel(&ends, user) || read_tables(&ends, user);
}

/* getpwuid() could ask a directory service and wait, so numbers must do. */
bool same_user_check(int fd, struct error *error)
{
    uid_t own = geteuid();
    uid_t user = own;

    if (!find_user(fd, &user)) {
        error_set(error, STATUS_DENIED, "28000",
                  "cannot find out which user connects, so this port is closed to it");
        error_hint(error, "Connect by the unix socket, or without --same-user.");
        return false;
    }
    if (user == own || user == 0)
        return true;
    error_set(error, STATUS_DENIED, "28000",
              "this tunnel is for processes of user %ju only; this one is of user %ju",
              (uintmax_t)own, (uintmax_t)user);
    error_hint(error, "Run electric-tunnel as the user who connects.");
    return false;
}
