"""The nouns: frozen values that stages hand to each other. They only do arithmetic."""
