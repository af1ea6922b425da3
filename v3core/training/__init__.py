"""Training: acting, learning, recording. Import `trainer` where torch may be loaded, `hooks` anywhere."""
