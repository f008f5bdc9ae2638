"""Parts of figures: panels, marks and legends that several figures share."""
