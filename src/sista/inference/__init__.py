"""What a pre-trained encoder answers without labels: zero-shot classification, retrieval, grounding, embeddings."""
