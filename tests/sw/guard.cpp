// Preloaded into a process, writes down every host that it looks up or connects to, and lets it reach none but this one.
// What stays within the machine (local sockets, the loopback address) is no report to anyone, and passes.
#include <arpa/inet.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

static void note(const char* what, const char* where) {
    if (FILE* log = std::fopen(std::getenv("GUARD_LOG"), "a")) {
        std::fprintf(log, "%s %s\n", what, where);
        std::fclose(log);
    }
}

static bool is_local(const char* host) {
    return !host || !std::strcmp(host, "localhost") || !std::strncmp(host, "127.", 4) || !std::strcmp(host, "::1");
}

extern "C" int getaddrinfo(const char* host, const char* service, const addrinfo* hints, addrinfo** result) {
    using Function = int (*)(const char*, const char*, const addrinfo*, addrinfo**);
    if (is_local(host)) return reinterpret_cast<Function>(dlsym(RTLD_NEXT, "getaddrinfo"))(host, service, hints, result);
    note("getaddrinfo", host);
    return EAI_FAIL;
}

extern "C" int connect(int socket, const sockaddr* address, socklen_t length) {
    using Function = int (*)(int, const sockaddr*, socklen_t);
    char host[INET6_ADDRSTRLEN] = "127.0.0.1";
    if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, host, sizeof host);
    if (address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr, host, sizeof host);
    if (is_local(host)) return reinterpret_cast<Function>(dlsym(RTLD_NEXT, "connect"))(socket, address, length);
    note("connect", host);
    errno = ENETUNREACH;
    return -1;
}
