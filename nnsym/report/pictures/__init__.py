"""Pictures of neurons, outputs, comparisons, bounds and graphs; `style` has their colours, axes and files."""
