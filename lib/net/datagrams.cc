#include "lib/net/datagrams.h"

#include <netinet/in.h>

#include <cassert>
#include <cerrno>
#include <cstring>

namespace bsockd {
namespace {

// An error that was pending at the socket is told once, instead of datagrams; then they come.
constexpr int kPendingErrorsMax = 4;

// What a sender can make recvmmsg(2) ask for: on a Unix socket the credentials and not a byte more,
// so that no file descriptors are taken from anyone (SCM_RIGHTS); on an IP socket both forms of
// "packet info", which a dual-stack socket gives of an IPv4 datagram.
constexpr size_t kUnixControlBytes = CMSG_SPACE(sizeof(ucred));
constexpr size_t kIpControlBytes = CMSG_SPACE(sizeof(in_pktinfo)) + CMSG_SPACE(sizeof(in6_pktinfo));

template <typename T>
T DataOf(const cmsghdr* header) {
  T data;
  std::memcpy(&data, CMSG_DATA(header), sizeof(data));
  return data;
}

// Writes `data` as the one control message of `control` and returns its size.
template <typename T>
size_t WriteControl(int level, int type, const T& data, std::byte* control) {
  auto* header = reinterpret_cast<cmsghdr*>(control);
  std::memset(header, 0, CMSG_SPACE(sizeof(data)));
  header->cmsg_level = level;
  header->cmsg_type = type;
  header->cmsg_len = CMSG_LEN(sizeof(data));
  std::memcpy(CMSG_DATA(header), &data, sizeof(data));
  return CMSG_SPACE(sizeof(data));
}

// What was asked by IPv4 is answered from our address that it was meant for: ipi_spec_dst, which is
// one of ours even where the datagram was a broadcast. The route is the kernel's choice.
in_pktinfo Answering(const in_pktinfo& asked) {
  in_pktinfo from{};
  from.ipi_spec_dst = asked.ipi_spec_dst;
  return from;
}

// A link-local address says nothing without its interface (RFC 4007, section 6).
in6_pktinfo Answering(const in6_pktinfo& asked) {
  in6_pktinfo from{};
  from.ipi6_addr = asked.ipi6_addr;
  if (IN6_IS_ADDR_LINKLOCAL(&asked.ipi6_addr)) from.ipi6_ifindex = asked.ipi6_ifindex;
  return from;
}

bool IsTransient(int error) {
  return error == EAGAIN || error == EINTR || error == ECONNREFUSED || error == EHOSTUNREACH ||
         error == ENETUNREACH || error == ENETDOWN || error == EHOSTDOWN || error == EPROTO ||
         error == ENOPROTOOPT || error == EMSGSIZE || error == ECONNRESET;
}

}  // namespace

DatagramBatch::DatagramBatch(size_t payload_bytes_max)
    : memory_(std::make_unique_for_overwrite<char[]>(payload_bytes_max * kDatagramsMax)) {
  static_assert(kIpControlBytes <= sizeof(Slot::control));
  static_assert(kUnixControlBytes <= sizeof(Slot::control));
  for (int i = 0; i < kDatagramsMax; ++i) {
    slots_[i].payload = {.iov_base = memory_.get() + i * payload_bytes_max,
                         .iov_len = payload_bytes_max};
  }
}

int DatagramBatch::Receive(const ListenSocket& socket) {
  fd_ = socket.fd();
  reply_count_ = 0;
  const int family = socket.local().family();
  for (int i = 0; i < kDatagramsMax; ++i) {
    Slot& slot = slots_[i];
    slot.sender.any.sa_family = static_cast<sa_family_t>(family);  // The kernel names no nameless.
    received_[i].msg_hdr = {
        .msg_name = &slot.sender.storage,
        .msg_namelen = sizeof(slot.sender.storage),
        .msg_iov = &slot.payload,
        .msg_iovlen = 1,
        .msg_control = slot.control.data(),
        .msg_controllen = family == AF_UNIX ? kUnixControlBytes : kIpControlBytes,
        .msg_flags = 0,
    };
  }
  int count = -1;
  for (int attempt = 0; count < 0 && attempt < kPendingErrorsMax; ++attempt) {
    count = recvmmsg(fd_, received_.data(), kDatagramsMax, MSG_DONTWAIT, nullptr);
    if (count < 0 && errno == EAGAIN) return 0;
    if (count < 0 && !IsTransient(errno)) return -errno;
  }
  for (int i = 0; i < count; ++i) Interpret(i);
  return count < 0 ? 0 : count;
}

void DatagramBatch::Interpret(int i) {
  Slot& slot = slots_[i];
  msghdr& message = received_[i].msg_hdr;
  slot.sender.size = message.msg_namelen;
  slot.credentials.reset();
  slot.reply_control_bytes = 0;
  slot.send_error = 0;
  std::optional<in_pktinfo> asked_v4;
  std::optional<in6_pktinfo> asked_v6;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS) {
      const auto credentials = DataOf<ucred>(header);
      slot.credentials = PeerCredentials{credentials.uid, credentials.gid, {}};
    } else if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
      asked_v4 = DataOf<in_pktinfo>(header);
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
      asked_v6 = DataOf<in6_pktinfo>(header);
    }
  }
  if (asked_v4) {
    slot.reply_control_bytes =
        WriteControl(IPPROTO_IP, IP_PKTINFO, Answering(*asked_v4), slot.control.data());
  } else if (asked_v6 && !IN6_IS_ADDR_MULTICAST(&asked_v6->ipi6_addr)) {
    slot.reply_control_bytes =
        WriteControl(IPPROTO_IPV6, IPV6_PKTINFO, Answering(*asked_v6), slot.control.data());
  }
}

std::string_view DatagramBatch::payload(int i) const {
  return {static_cast<const char*>(slots_[i].payload.iov_base), received_[i].msg_len};
}

void DatagramBatch::Reply(int i, std::string_view payload) {
  assert(reply_count_ < kDatagramsMax);
  Slot& slot = slots_[i];
  slot.reply = {.iov_base = const_cast<char*>(payload.data()), .iov_len = payload.size()};
  replied_to_[reply_count_] = i;
  replies_[reply_count_++].msg_hdr = {
      .msg_name = slot.sender.size > 0 ? &slot.sender.storage : nullptr,
      .msg_namelen = slot.sender.size,
      .msg_iov = &slot.reply,
      .msg_iovlen = 1,
      .msg_control = slot.reply_control_bytes > 0 ? slot.control.data() : nullptr,
      .msg_controllen = slot.reply_control_bytes,
      .msg_flags = 0,
  };
}

int DatagramBatch::Send() {
  int sent = 0;
  // sendmmsg(2) stops at the first that fails and tells why only when that is the first of all: so
  // each round either sends some or fails one.
  for (int next = 0; next < reply_count_;) {
    const int count = sendmmsg(fd_, &replies_[next], static_cast<unsigned>(reply_count_ - next),
                               MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0) {
      slots_[replied_to_[next++]].send_error = errno;
      continue;
    }
    for (int i = 0; i < count; ++i) slots_[replied_to_[next++]].send_error = 0;
    sent += count;
  }
  reply_count_ = 0;
  return sent;
}

}  // namespace bsockd
