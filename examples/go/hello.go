// Why: a worker in Go: Limpet's link as a net.Listener, so that net/http (or anything else that takes a
// listener) serves the clients. Nothing but the standard library. To try it ("go run" would not pass the link on):
//
//	go build -o hello examples/go/hello.go
//	limpet run -b 127.0.0.1:3000 -i 2 -- ./hello
//	curl http://127.0.0.1:3000/
//
// SPDX-License-Identifier: ISC
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
)

const (
	notArrived = 1
	busy       = 2
)

var addressSizes = [...]int{0, 12, 36, 216} // none, IPv4, IPv6, UNIX

// linkListener hands out the clients that come over the link.
type linkListener struct{ link *net.UnixConn }

// clientConn knows the client's address from Limpet, which may know better than the socket.
type clientConn struct {
	net.Conn
	remote net.Addr
}

func (c clientConn) RemoteAddr() net.Addr { return c.remote }

func openLink() (*linkListener, error) {
	fd, err := strconv.Atoi(os.Getenv("LIMPET_LINK_FD"))
	if err != nil {
		return nil, errors.New("not started by limpet")
	}
	file := os.NewFile(uintptr(fd), "link")
	conn, err := net.FileConn(file) // a copy, close-on-exec
	file.Close()
	if err != nil {
		return nil, err
	}
	link, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.New("the link is no UNIX socket")
	}
	_, err = link.Write(make([]byte, 8)) // clients may come
	return &linkListener{link}, err
}

// Accept returns the next client, acknowledged, and io.EOF when no more will come.
func (l *linkListener) Accept() (net.Conn, error) {
	record, rights := make([]byte, 4096), make([]byte, 256)
	for {
		n, rightsLength, flags, _, err := l.link.ReadMsgUnix(record, rights)
		if errors.Is(err, syscall.ECONNRESET) {
			continue // Limpet is gone; there may be clients left, then comes the end
		}
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, io.EOF
		}
		files := takeFiles(rights[:rightsLength])
		id, remote, err := parse(record[:n])
		if err != nil {
			closeAll(files)
			return nil, err
		}
		if len(files) != 1 || flags&syscall.MSG_CTRUNC != 0 {
			closeAll(files)
			l.link.Write(append(id, notArrived)) // our descriptor table is full
			continue
		}
		conn, err := net.FileConn(files[0])
		closeAll(files)
		if err != nil {
			l.link.Write(append(id, busy))
			continue
		}
		l.link.Write(id) // before anything is read; an error means that Limpet is gone, and he is ours
		return clientConn{conn, remote}, nil
	}
}

func (l *linkListener) Close() error   { return l.link.Close() }
func (l *linkListener) Addr() net.Addr { return l.link.LocalAddr() }

func takeFiles(rights []byte) (files []*os.File) {
	messages, _ := syscall.ParseSocketControlMessage(rights)
	for i := range messages {
		fds, _ := syscall.ParseUnixRights(&messages[i])
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "client"))
		}
	}
	return files
}

func closeAll(files []*os.File) {
	for _, file := range files {
		file.Close()
	}
}

// parse reads the id and the client's address from a PROXY protocol header, version 2.
func parse(record []byte) (id []byte, remote net.Addr, err error) {
	const signature = "\r\n\r\n\x00\r\nQUIT\n"
	if len(record) < 16 || string(record[:12]) != signature ||
		len(record) != 16+int(binary.BigEndian.Uint16(record[14:])) || record[13]>>4 > 3 {
		return nil, nil, errors.New("not a record of limpet_worker(3)")
	}
	rest := record[16:]
	size := addressSizes[record[13]>>4]
	if len(rest) < size {
		return nil, nil, errors.New("a damaged record")
	}
	remote = &net.UnixAddr{Net: "unix"}
	if half := (size - 4) / 2; record[12] == 0x21 && (size == 12 || size == 36) {
		ip := append(net.IP(nil), rest[:half]...)
		remote = &net.TCPAddr{IP: ip, Port: int(binary.BigEndian.Uint16(rest[2*half:]))}
	}
	for rest = rest[size:]; len(rest) >= 3; {
		length := int(binary.BigEndian.Uint16(rest[1:]))
		if len(rest) < 3+length {
			break
		}
		if rest[0] == 0x05 {
			return append([]byte(nil), rest[3:3+length]...), remote, nil
		}
		rest = rest[3+length:] // later versions of Limpet say more
	}
	return nil, nil, errors.New("a record without an id")
}

func hello(w http.ResponseWriter, r *http.Request) {
	client, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		client = "unix"
	}
	slot, _ := strconv.Atoi(os.Getenv("LIMPET_SLOT"))
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{"pid": os.Getpid(), "slot": slot, "client": client})
}

func main() {
	listener, err := openLink()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	server := &http.Server{Handler: http.HandlerFunc(hello)}
	if err := server.Serve(listener); !errors.Is(err, io.EOF) {
		log.Print(err)
	}
	server.Shutdown(context.Background()) // finish the clients that we have
}
