"""Writers: any Program as text, and nothing else."""
