// Package iso9660 writes small read-only CD images: ISO 9660 with Rock Ridge
// names, owners and modes for Unix guests and a Joliet tree for Windows ones.
//
// An Image is planned first, from the sizes alone, and then streamed: file
// contents are read once, in order, and never held in memory. The same plan
// gives the same bytes: the only clock is the time the caller gives.
//
// What it leaves out on purpose: boot records, files of 4 GiB and more, and the
// relocation of directories deeper than eight levels (every reader in use
// takes them as they are; mkisofs -D does the same).
//
// Sources: ECMA-119 (ISO 9660), SUSP 1.10 and RRIP 1.10 (Rock Ridge), the
// Joliet specification. Rock Ridge is announced as RRIP_1991A, not by the later
// name IEEE_P1282, because BSD kernels accept no other.
package iso9660
