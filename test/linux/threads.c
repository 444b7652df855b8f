/* pthreads: mutex, condition variable, barrier, thread-local data, join, once, semaphores. */
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
enum { THREADS = 8, ROUNDS = 2000 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t full = PTHREAD_COND_INITIALIZER, empty = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t semaphore;
static long counter;
static __thread long mine;
static int queue[16], head, count;
static int once_runs;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static void init(void) { once_runs++; }
static void *add(void *argument) {
    pthread_once(&once, init);
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&lock);
        counter++;
        mine++;
        pthread_mutex_unlock(&lock);
    }
    pthread_barrier_wait(&barrier);
    sem_post(&semaphore);
    return (void *)(mine + (long)argument);
}
static void *produce(void *argument) {
    for (int i = 1; i <= 500; i++) {
        pthread_mutex_lock(&lock);
        while (count == 16) pthread_cond_wait(&empty, &lock);
        queue[(head + count++) % 16] = i;
        pthread_cond_signal(&full);
        pthread_mutex_unlock(&lock);
    }
    return argument;
}
int main(void) {
    pthread_t threads[THREADS];
    pthread_barrier_init(&barrier, 0, THREADS);
    sem_init(&semaphore, 0, 0);
    for (long i = 0; i < THREADS; i++) pthread_create(&threads[i], 0, add, (void *)i);
    long sum = 0;
    for (int i = 0; i < THREADS; i++) sem_wait(&semaphore);
    for (int i = 0; i < THREADS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        sum += (long)result;
    }
    printf("%ld %ld once %d\n", counter, sum, once_runs);
    pthread_t producers[2];
    for (int i = 0; i < 2; i++) pthread_create(&producers[i], 0, produce, 0);
    long consumed = 0;
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&lock);
        while (count == 0) pthread_cond_wait(&full, &lock);
        consumed += queue[head];
        head = (head + 1) % 16;
        count--;
        pthread_cond_signal(&empty);
        pthread_mutex_unlock(&lock);
    }
    for (int i = 0; i < 2; i++) pthread_join(producers[i], 0);
    printf("%ld\n", consumed);
    return 0;
}
