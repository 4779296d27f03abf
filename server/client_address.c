/* Whose connection it is: addresses, networks, and what proxies in front of us say. */
#include "server/client_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

enum { ADDRESS_SIZE = 16, ADDRESS_BITS = 128, MAPPED_BITS = 96 };

/* IPv4 is mapped into IPv6 (RFC 4291 section 2.5.5.2). */
struct ip {
    uint8_t bytes[ADDRESS_SIZE];
};

struct network {
    struct ip ip;
    unsigned bits;
};

static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_mapped(const struct ip *ip)
{
    return memcmp(ip->bytes, mapped, sizeof(mapped)) == 0;
}

static bool parse_ip(const char *text, struct ip *ip)
{
    memcpy(ip->bytes, mapped, sizeof(mapped));
    return inet_pton(AF_INET, text, ip->bytes + sizeof(mapped)) == 1 ||
           inet_pton(AF_INET6, text, ip->bytes) == 1;
}

static void print_ip(const struct ip *ip, char out[CLIENT_ADDRESS_MAX])
{
    bool four = is_mapped(ip);

    if (inet_ntop(four ? AF_INET : AF_INET6, four ? ip->bytes + sizeof(mapped) : ip->bytes, out,
                  CLIENT_ADDRESS_MAX) == NULL)
        (void)snprintf(out, CLIENT_ADDRESS_MAX, "unknown");
}

/* Networks */

static bool network_contains(const struct network *network, const struct ip *ip)
{
    unsigned whole = network->bits / 8, rest = network->bits % 8;
    uint8_t mask = (uint8_t)(0xff00 >> rest);

    return memcmp(network->ip.bytes, ip->bytes, whole) == 0 &&
           (rest == 0 || ((network->ip.bytes[whole] ^ ip->bytes[whole]) & mask) == 0);
}

static bool contains(const struct networks *networks, const struct ip *ip)
{
    for (size_t i = 0; i < networks->count; i++)
        if (network_contains(&networks->list[i], ip))
            return true;
    return false;
}

static bool parse_network(char *text, struct network *network)
{
    char *slash = strchr(text, '/'), *end = NULL;
    unsigned long bits;
    unsigned base;

    if (slash != NULL)
        *slash = '\0';
    if (!parse_ip(text, &network->ip))
        return false;
    base = strchr(text, ':') == NULL ? MAPPED_BITS : 0;
    network->bits = ADDRESS_BITS;
    if (slash == NULL)
        return true;
    bits = strtoul(slash + 1, &end, 10);
    if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || bits > ADDRESS_BITS - base)
        return false;
    network->bits = base + (unsigned)bits;
    return true;
}

static enum status add_network(struct networks *networks, const char *name, struct error *error)
{
    char *copy = mem_copy_string(name);
    struct network network = {.bits = 0};
    bool ok = parse_network(copy, &network);

    free(copy);
    if (!ok)
        return error_set(error, STATUS_USAGE, "22023",
                         "\"%s\" is neither an address nor a block like 10.0.0.0/8", name);
    networks->list = mem_resize(networks->list, (networks->count + 1) * sizeof(*networks->list));
    networks->list[networks->count++] = network;
    return STATUS_OK;
}

enum status networks_parse(struct networks *networks, const char *text, struct error *error)
{
    char *copy = mem_copy_string(text != NULL ? text : "");
    char *rest = copy, *name;
    enum status status = STATUS_OK;

    *networks = (struct networks){.count = 0};
    while (status == STATUS_OK && (name = strsep(&rest, ", \t")) != NULL)
        if (*name != '\0')
            status = add_network(networks, name, error);
    free(copy);
    if (status != STATUS_OK)
        networks_clear(networks);
    return status;
}

void networks_clear(struct networks *networks)
{
    free(networks->list);
    *networks = (struct networks){.count = 0};
}

/* Clients */

/* Loopback, private, link-local, shared (RFC 1918, 4193, 6598): some proxy or translator, or a
 * neighbour. */
static bool is_internal(const struct ip *ip)
{
    static const struct {
        const char *address;
        unsigned bits;
    } blocks[] = {{"127.0.0.0", 104},   {"10.0.0.0", 104},   {"172.16.0.0", 108},
                  {"192.168.0.0", 112}, {"100.64.0.0", 106}, {"169.254.0.0", 112},
                  {"::1", 128},         {"fc00::", 7},       {"fe80::", 10}};

    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
        struct network network = {.bits = blocks[i].bits};

        if (parse_ip(blocks[i].address, &network.ip) && network_contains(&network, ip))
            return true;
    }
    return false;
}

/* An entry may carry a port, and IPv6 brackets. */
static bool parse_entry(struct bytes entry, struct ip *ip)
{
    char text[CLIENT_ADDRESS_MAX + 8];
    char *start = text, *end;

    if (entry.len >= sizeof(text))
        return false;
    memcpy(text, entry.data, entry.len);
    text[entry.len] = '\0';
    start += strspn(start, " \t");
    start[strcspn(start, " \t")] = '\0';
    if (*start == '[') {
        end = strchr(++start, ']');
        if (end == NULL)
            return false;
        *end = '\0';
    } else if ((end = strchr(start, ':')) != NULL && strchr(end + 1, ':') == NULL) {
        *end = '\0';
    }
    return parse_ip(start, ip);
}

/* Cuts the last entry off. */
static struct bytes take_last(struct bytes *list)
{
    size_t at = list->len;
    struct bytes entry;

    while (at > 0 && list->data[at - 1] != ',')
        at--;
    entry = bytes_skip(*list, at);
    list->len = at > 0 ? at - 1 : 0;
    return entry;
}

/* Goes from entry to entry, right to left, as long as each was added by someone trusted. */
static void walk(struct client_address *address, const struct networks *trusted,
                 const struct bytes *forwarded, size_t count)
{
    struct ip ip;

    while (count-- > 0) {
        struct bytes list = forwarded[count];

        while (list.len > 0) {
            if (!parse_entry(take_last(&list), &ip))
                return;
            print_ip(&ip, address->text);
            address->single = !contains(trusted, &ip);
            if (address->single)
                return;
        }
    }
}

void client_address_find(struct client_address *address, const char *peer,
                         const struct networks *trusted, const struct bytes *forwarded,
                         size_t forwarded_count)
{
    struct ip ip;

    *address = (struct client_address){.single = false};
    (void)snprintf(address->text, sizeof(address->text), "%s", peer);
    if (!parse_ip(peer, &ip))
        return;
    if (contains(trusted, &ip))
        walk(address, trusted, forwarded, forwarded_count);
    else
        address->single = !is_internal(&ip);
}
