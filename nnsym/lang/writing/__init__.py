"""Properties as text, and back."""
