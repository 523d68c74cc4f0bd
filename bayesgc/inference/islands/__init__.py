"""Islands of particles that climb a ladder from the prior to the posterior; splitting climbs falling losses."""
