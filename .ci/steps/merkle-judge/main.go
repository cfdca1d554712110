// A judge of Tollgate's proofs: the reference verifier of transparency-dev, fed with the same lines that
// test/ledger/verify_rfc9162.py takes. One JSON object a line in, "true" or "false" a line out.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

type line struct {
	Leaf       *uint64  `json:"leaf"`
	Size       uint64   `json:"size"`
	LeafHash   string   `json:"leafHash"`
	Root       string   `json:"root"`
	First      uint64   `json:"first"`
	Second     uint64   `json:"second"`
	FirstRoot  string   `json:"firstRoot"`
	SecondRoot string   `json:"secondRoot"`
	Path       []string `json:"path"`
}

func bytes(text string) []byte {
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return decoded
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for in.Scan() {
		var c line
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		path := make([][]byte, len(c.Path))
		for i, one := range c.Path {
			path[i] = bytes(one)
		}
		var err error
		if c.Leaf != nil {
			err = proof.VerifyInclusion(rfc6962.DefaultHasher, *c.Leaf, c.Size, bytes(c.LeafHash), path, bytes(c.Root))
		} else {
			err = proof.VerifyConsistency(rfc6962.DefaultHasher, c.First, c.Second, path, bytes(c.FirstRoot), bytes(c.SecondRoot))
		}
		fmt.Fprintln(out, err == nil)
	}
}
