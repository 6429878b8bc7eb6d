// Asks by Go's own client over one connection; see all.py.
package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1, DisableCompression: true}}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		parts := strings.Split(lines.Text(), "\t")
		request, err := http.NewRequest(parts[0], parts[1], nil)
		fail(err)
		for _, header := range parts[2:] {
			name, value, _ := strings.Cut(header, ": ")
			request.Header.Set(name, value)
		}
		told, err := client.Do(request)
		fail(err)
		body, err := io.ReadAll(told.Body)
		fail(err)
		told.Body.Close()
		fmt.Printf("%d %x\n", told.StatusCode, sha256.Sum256(body))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
