/* A client as a lecture on Berkeley sockets has it, for a test that such a client gets its answer:
 * a blocking socket, one send of the text without any terminator, one recv, print. It knows nothing
 * of framing and of partial reads, and is not meant to. */
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what) {
  perror(what);
  exit(1);
}

int main(int argc, char *argv[]) {
  struct sockaddr_in server;
  struct hostent *host;
  char buffer[256];
  int fd;
  ssize_t count;

  if (argc != 3) {
    fprintf(stderr, "usage: %s HOST PORT\n", argv[0]);
    return 1;
  }
  fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd < 0) fail("socket");
  host = gethostbyname(argv[1]);
  if (host == NULL) {
    fprintf(stderr, "no such host\n");
    return 1;
  }
  memset(&server, 0, sizeof(server));
  server.sin_family = AF_INET;
  memcpy(&server.sin_addr, host->h_addr_list[0], (size_t)host->h_length);
  server.sin_port = htons((unsigned short)atoi(argv[2]));
  if (connect(fd, (struct sockaddr *)&server, sizeof(server)) < 0) fail("connect");

  printf("CLIENT: Enter text to send to the server, and then hit enter: ");
  fflush(stdout);
  if (fgets(buffer, sizeof(buffer), stdin) == NULL) fail("fgets");
  buffer[strcspn(buffer, "\n")] = '\0';
  if (send(fd, buffer, strlen(buffer), 0) < 0) fail("send");

  count = recv(fd, buffer, sizeof(buffer) - 1, 0);
  if (count < 0) fail("recv");
  buffer[count] = '\0';
  printf("CLIENT: I received this from the server: \"%s\"\n", buffer);
  close(fd);
  return 0;
}
