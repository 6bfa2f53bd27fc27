package cloud

import (
	"sort"
	"strconv"
	"strings"
)

// atoi reads a decimal number.
func atoi(s string) (int, bool) {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	return n, err == nil
}

func itoa(n int) string { return strconv.Itoa(n) }

// firstOf returns the first string that is not empty.
func firstOf(ss ...string) string {
	for _, s := range ss {
		if s != "" {
			return s
		}
	}
	return ""
}

// splitInts reads a comma list of numbers; what is no number is left out.
func splitInts(list string) []int {
	var out []int
	for _, s := range strings.Split(list, ",") {
		if n, ok := atoi(s); ok {
			out = append(out, n)
		}
	}
	return out
}

func joinInts(ns []int) string {
	ss := make([]string, len(ns))
	for i, n := range ns {
		ss[i] = itoa(n)
	}
	return strings.Join(ss, ",")
}

// joinSets returns the union of comma lists of numbers, ascending.
func joinSets(lists ...string) string {
	seen := map[int]bool{}
	var all []int
	for _, l := range lists {
		for _, n := range splitInts(l) {
			if !seen[n] {
				seen[n] = true
				all = append(all, n)
			}
		}
	}
	sort.Ints(all)
	return joinInts(all)
}

// insertInt returns a sorted list with n in it.
func insertInt(list []int, n int) []int {
	i := sort.SearchInts(list, n)
	if i < len(list) && list[i] == n {
		return list
	}
	out := make([]int, 0, len(list)+1)
	out = append(out, list[:i]...)
	out = append(out, n)
	return append(out, list[i:]...)
}

// removeInt returns a sorted list without n.
func removeInt(list []int, n int) []int {
	out := make([]int, 0, len(list))
	for _, x := range list {
		if x != n {
			out = append(out, x)
		}
	}
	return out
}
