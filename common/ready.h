/* Telling whoever started us how we are. */
#ifndef COMMON_READY_H
#define COMMON_READY_H

/* Writes a line to the descriptor and closes it. */
void ready_write(int fd);

/* systemd's protocol (sd_notify(3)): `state`, lines of VARIABLE=value, to the socket in
 * NOTIFY_SOCKET, if there is one. */
void ready_notify(const char *state);

#endif
