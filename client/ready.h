/* Telling whoever started us that we are ready. */
#ifndef CLIENT_READY_H
#define CLIENT_READY_H

/* Writes a line to the descriptor and closes it. */
void ready_write(int fd);

/* systemd's protocol (sd_notify(3)): READY=1 to the socket in NOTIFY_SOCKET, if there is one. */
void ready_notify(void);

#endif
