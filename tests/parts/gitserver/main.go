// Serves the bare repositories of a folder over HTTPS and SSH, to one user, until it is killed.
//
//	gitserver FOLDER
//
// It makes what it needs to be known by in FOLDER/access: `ca.pem`, `user` (an SSH key that is let in) and `stranger` (one that
// is not). It prints the two ports and its SSH host key, and then serves. The user is `ann`, the password `token`.
package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func write(path string, block *pem.Block) {
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		log.Fatal(err)
	}
}

func main() {
	folder := must(filepath.Abs(os.Args[1]))
	access := filepath.Join(folder, "access")
	if err := os.MkdirAll(access, 0o700); err != nil {
		log.Fatal(err)
	}
	web := must(tls.Listen("tcp", "127.0.0.1:0", certificate(access)))
	shell := must(net.Listen("tcp", "127.0.0.1:0"))
	host := must(ssh.NewSignerFromKey(key(filepath.Join(access, "host"))))
	user := must(ssh.NewSignerFromKey(key(filepath.Join(access, "user")))).PublicKey()
	key(filepath.Join(access, "stranger"))
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, offered ssh.PublicKey) (*ssh.Permissions, error) {
		if string(offered.Marshal()) == string(user.Marshal()) {
			return nil, nil
		}
		return nil, fmt.Errorf("a stranger")
	}}
	config.AddHostKey(host)
	port := func(listener net.Listener) int { return listener.Addr().(*net.TCPAddr).Port }
	fmt.Printf("%d %d %s", port(web), port(shell), ssh.MarshalAuthorizedKey(host.PublicKey()))
	go serve(shell, config, folder)
	log.Fatal(http.Serve(web, backend(folder)))
}

// key makes an SSH key pair and keeps the private half.
func key(path string) ed25519.PrivateKey {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	write(path, must(ssh.MarshalPrivateKey(private, "")))
	return private
}

// certificate makes a CA, keeps its certificate, and signs one for 127.0.0.1 with it.
func certificate(access string) *tls.Config {
	make := func(name string, parent *x509.Certificate, signer *ecdsa.PrivateKey) ([]byte, *x509.Certificate, *ecdsa.PrivateKey) {
		own := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
		template := &x509.Certificate{
			SerialNumber:          must(rand.Int(rand.Reader, big.NewInt(1<<60))),
			Subject:               pkix.Name{CommonName: name},
			NotBefore:             time.Now().Add(-time.Hour),
			NotAfter:              time.Now().Add(24 * time.Hour),
			BasicConstraintsValid: true,
			IsCA:                  parent == nil,
			KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
			IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		}
		if parent == nil {
			parent, signer = template, own
		}
		der := must(x509.CreateCertificate(rand.Reader, template, parent, &own.PublicKey, signer))
		return der, template, own
	}
	ca, template, signer := make("a CA for tests", nil, nil)
	write(filepath.Join(access, "ca.pem"), &pem.Block{Type: "CERTIFICATE", Bytes: ca})
	leaf, _, own := make("127.0.0.1", template, signer)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf}, PrivateKey: own}}}
}

// backend is Git's own server of its smart protocol.
func backend(folder string) http.Handler {
	program := strings.TrimSpace(string(must(exec.Command("git", "--exec-path").Output())))
	git := &cgi.Handler{
		Path: filepath.Join(program, "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + folder, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_NOSYSTEM=1", "REMOTE_USER=ann"},
	}
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		user, password, _ := request.BasicAuth()
		if user != "ann" || password != "token" {
			answer.Header().Set("www-authenticate", `Basic realm="git"`)
			http.Error(answer, "who are you?", http.StatusUnauthorized)
			return
		}
		// CGI wants to know how long what follows is.
		if request.ContentLength < 0 {
			body := must(io.ReadAll(request.Body))
			request.Body = io.NopCloser(strings.NewReader(string(body)))
			request.ContentLength, request.TransferEncoding = int64(len(body)), nil
		}
		git.ServeHTTP(answer, request)
	})
}

func serve(listener net.Listener, config *ssh.ServerConfig, folder string) {
	for {
		socket := must(listener.Accept())
		go func() {
			_, channels, requests, err := ssh.NewServerConn(socket, config)
			if err != nil {
				return
			}
			go ssh.DiscardRequests(requests)
			for opened := range channels {
				channel, requests, err := opened.Accept()
				if err != nil {
					return
				}
				go session(channel, requests, folder)
			}
		}()
	}
}

// session runs the one command that Git asks for, such as `git-receive-pack '/bare.git'`.
func session(channel ssh.Channel, requests <-chan *ssh.Request, folder string) {
	defer channel.Close()
	for request := range requests {
		var asked struct{ Command string }
		if request.Type != "exec" || ssh.Unmarshal(request.Payload, &asked) != nil {
			request.Reply(false, nil)
			continue
		}
		program, path, _ := strings.Cut(asked.Command, " ")
		if program != "git-receive-pack" && program != "git-upload-pack" {
			request.Reply(false, nil)
			continue
		}
		request.Reply(true, nil)
		command := exec.Command("git", strings.TrimPrefix(program, "git-"), filepath.Join(folder, strings.Trim(path, "'/")))
		command.Stdout, command.Stderr = channel, channel.Stderr()
		input := must(command.StdinPipe())
		go func() {
			io.Copy(input, channel)
			input.Close()
		}()
		status := struct{ Status uint32 }{}
		if command.Run() != nil {
			status.Status = 1
		}
		channel.SendRequest("exit-status", false, ssh.Marshal(&status))
		return
	}
}
