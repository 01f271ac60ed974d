# Why: a worker in Ruby with a thread per client and nothing but the standard library. To try it:
#
#   limpet run -b 127.0.0.1:3000 -i 2 -- ruby examples/ruby/hello.rb
#   curl http://127.0.0.1:3000/
#
# SPDX-License-Identifier: ISC
require "ipaddr"
require "json"
require "socket"

NOT_ARRIVED = "\x01".b
ADDRESS_SIZES = [0, 12, 36, 216].freeze # none, IPv4, IPv6, UNIX

# [id, address] of a PROXY protocol header, version 2.
def parse(record)
  raise "not a record of limpet_worker(3)" unless record.start_with?("\r\n\r\n\0\r\nQUIT\n".b)
  command, family, length = record.unpack("@12CCn")
  raise "a damaged record" unless record.bytesize == 16 + length
  size = ADDRESS_SIZES.fetch(family >> 4)
  address = "unix"
  address = IPAddr.new_ntoh(record[16, (size - 4) / 2]).to_s if command == 0x21 && [12, 36].include?(size)
  at = 16 + size
  while at < record.bytesize
    kind, length = record.unpack("@#{at}Cn")
    return [record[at + 3, length], address] if kind == 0x05
    at += 3 + length # later versions of Limpet say more
  end
  raise "a record without an id"
end

def answer(link, record)
  link.sendmsg(record) # waits where the link is full
rescue Errno::EPIPE, Errno::ECONNRESET
  # Limpet is gone: nobody else can serve this client
end

# [socket, address] of the next client, acknowledged; nil at the end of the link.
def receive(link)
  loop do
    record, _, flags, *controls = link.recvmsg(4096, 0, 256, scm_rights: true)
    return nil if record.nil? || record.empty?
    sockets = controls.select { |c| c.cmsg_is?(:SOCKET, :RIGHTS) }.flat_map(&:unix_rights)
    id, address = parse(record)
    if sockets.size == 1 && flags & Socket::MSG_CTRUNC == 0
      answer(link, id) # before anything is read from the socket
      return [sockets[0], address]
    end
    sockets.each(&:close)
    answer(link, id + NOT_ARRIVED) # our descriptor table is full: another worker gets him
  rescue Errno::ECONNRESET
    next # Limpet is gone; there may be clients left, then comes the end
  end
end

def serve(socket, address)
  return unless socket.gets("\r\n\r\n", 8192)&.end_with?("\r\n\r\n")
  body = JSON.generate(pid: Process.pid, slot: ENV["LIMPET_SLOT"].to_i, client: address) + "\n"
  socket.write("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: #{body.bytesize}\r\n" \
               "Connection: close\r\n\r\n#{body}")
rescue SystemCallError
  # he left
ensure
  socket.close
end

link = Socket.for_fd(Integer(ENV.fetch("LIMPET_LINK_FD")))
link.close_on_exec = true
answer(link, "\0".b * 8) # clients may come
threads = []
while (socket, address = receive(link))
  threads.select!(&:alive?)
  threads << Thread.new(socket, address) { |s, a| serve(s, a) }
end
threads.each(&:join)
