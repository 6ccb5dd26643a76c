// Judges what the sealed log signs and proves, by Go's own library for such logs: golang.org/x/mod/sumdb.
//
// It reads one JSON object a line and prints one line for each: "ok", or "refused: " and the library's reason.
// Hashes are in base64, as the library's own JSON has them.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type question struct {
	Judge   string      `json:"judge"` // key, note, record, tree, file, or root
	Keys    []string    `json:"keys"`
	Note    []byte      `json:"note"` // in base64
	File    []byte      `json:"file"` // in base64
	Index   int64       `json:"index"`
	First   int64       `json:"first"`
	Size    int64       `json:"size"`
	Leaf    tlog.Hash   `json:"leaf"`
	Old     tlog.Hash   `json:"old"`
	Root    tlog.Hash   `json:"root"`
	Proof   []tlog.Hash `json:"proof"`
	Records [][]byte    `json:"records"`
}

func main() {
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	answers := bufio.NewWriter(os.Stdout)
	defer answers.Flush()
	questions := json.NewDecoder(lines)
	for questions.More() {
		var asked question
		if err := questions.Decode(&asked); err != nil {
			fmt.Fprintln(os.Stderr, "judge:", err)
			os.Exit(2)
		}
		if err := judge(&asked); err != nil {
			fmt.Fprintf(answers, "refused: %s\n", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Fprintln(answers, "ok")
		}
	}
}

func judge(asked *question) error {
	switch asked.Judge {
	case "key":
		_, err := verifiers(asked.Keys)
		return err
	case "note":
		_, err := opened(asked.Note, asked.Keys)
		return err
	case "record":
		return tlog.CheckRecord(asked.Proof, asked.Size, asked.Root, asked.Index, asked.Leaf)
	case "tree":
		return tlog.CheckTree(asked.Proof, asked.Size, asked.Root, asked.First, asked.Old)
	case "root":
		return sameRoot(asked.Records, asked.Root)
	case "file":
		return proven(string(asked.File), asked.Keys)
	}
	return fmt.Errorf("unknown question %q", asked.Judge)
}

func verifiers(keys []string) (note.Verifiers, error) {
	var list []note.Verifier
	for _, key := range keys {
		verifier, err := note.NewVerifier(key)
		if err != nil {
			return nil, err
		}
		list = append(list, verifier)
	}
	return note.VerifierList(list...), nil
}

func opened(signed []byte, keys []string) (*note.Note, error) {
	known, err := verifiers(keys)
	if err != nil {
		return nil, err
	}
	return note.Open(signed, known)
}

// sameRoot builds the tree of the records with the library and compares its root.
func sameRoot(records [][]byte, root tlog.Hash) error {
	var stored []tlog.Hash
	read := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var found []tlog.Hash
		for _, index := range indexes {
			found = append(found, stored[index])
		}
		return found, nil
	})
	for n, record := range records {
		hashes, err := tlog.StoredHashes(int64(n), record, read)
		if err != nil {
			return err
		}
		stored = append(stored, hashes...)
	}
	built, err := tlog.TreeHash(int64(len(records)), read)
	if err == nil && built != root {
		err = fmt.Errorf("the root is %s", built)
	}
	return err
}

// proven checks a file in the form of C2SP's tlog-proof. The library has no reader of this form; it judges the parts.
func proven(file string, keys []string) error {
	malformed := fmt.Errorf("malformed proof file")
	head, signed, found := strings.Cut(file, "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 3 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return malformed
	}
	extra, index := strings.TrimPrefix(lines[1], "extra "), strings.TrimPrefix(lines[2], "index ")
	if extra == lines[1] || index == lines[2] {
		return malformed
	}
	leaf, err := base64.StdEncoding.Strict().DecodeString(extra)
	if err != nil {
		return err
	}
	number, err := strconv.ParseInt(index, 10, 64)
	if err != nil || strconv.FormatInt(number, 10) != index {
		return malformed
	}
	var proof tlog.RecordProof
	for _, line := range lines[3:] {
		var hash tlog.Hash
		decoded, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || copy(hash[:], decoded) != len(decoded) || len(decoded) != tlog.HashSize {
			return malformed
		}
		proof = append(proof, hash)
	}
	opened, err := opened([]byte(signed), keys)
	if err != nil {
		return err
	}
	// The library reads the tree of one log only. The lines of a checkpoint differ from that form in the first one.
	origin, rest, _ := strings.Cut(opened.Text, "\n")
	if origin != opened.Sigs[0].Name {
		return fmt.Errorf("the checkpoint is of the log %q", origin)
	}
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + rest))
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, number, tlog.RecordHash(leaf))
}
