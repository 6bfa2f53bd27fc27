package gatetoken

// decodeBase64 decodes s into dst as the reference's decoder does: characters
// outside the standard alphabet are skipped, a '=' as third or fourth character
// of a group ends the text, and a last group may lack its padding. It returns
// the number of bytes; ok is false when dst is too small.
// Source: OneGate reference §2, "tolerant base64 decode".
func decodeBase64(dst []byte, s string) (n int, ok bool) {
	var group [4]byte
	have := 0
	for i := range len(s) {
		c := s[i]
		v, in := base64Value(c)
		if !in {
			if c == '=' && have >= 2 {
				break
			}
			continue
		}
		group[have] = v
		have++
		if have < 4 {
			continue
		}
		if n+3 > len(dst) {
			return n, false
		}
		dst[n] = group[0]<<2 | group[1]>>4
		dst[n+1] = group[1]<<4 | group[2]>>2
		dst[n+2] = group[2]<<6 | group[3]
		n += 3
		have = 0
	}
	if have >= 2 {
		if n+have-1 > len(dst) {
			return n, false
		}
		dst[n] = group[0]<<2 | group[1]>>4
		n++
		if have == 3 {
			dst[n] = group[1]<<4 | group[2]>>2
			n++
		}
	}
	return n, true
}

func base64Value(c byte) (byte, bool) {
	switch {
	case c >= 'A' && c <= 'Z':
		return c - 'A', true
	case c >= 'a' && c <= 'z':
		return c - 'a' + 26, true
	case c >= '0' && c <= '9':
		return c - '0' + 52, true
	case c == '+':
		return 62, true
	case c == '/':
		return 63, true
	}
	return 0, false
}
