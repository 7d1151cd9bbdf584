// A Git server for tests: HTTPS by `git http-backend`, SSH by a real SSH implementation, pinned here and checked by go.sum.
// scripts/gitserver builds it.
module github.com/portico-dev/portico/tests/parts/gitserver

go 1.26.0

require golang.org/x/crypto v0.58.0

require golang.org/x/sys v0.49.0 // indirect
