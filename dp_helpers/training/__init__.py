"""What fine-tuning is made of: views of the photos, latents, the loss, the optimizer."""
