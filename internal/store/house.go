package store

func (s *Store) keepHouse() {
	_ = s.Lead(s.ctx, s.sweepRequests)
}
