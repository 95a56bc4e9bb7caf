"""Results for people and for programs: tables, HTML, plots, JSON."""
